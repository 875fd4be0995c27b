"""Names that Keras makes up: it numbers them by creation, across all models of a process.

Where the training made other models before, the same layer has another number there; what is the same
is the order among the names of one kind. Used by the formats that find variables by name.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

Words = tuple[str, ...]
Numbers = tuple[int, ...]


def numbered(name: str) -> tuple[Words, Numbers]:
    """Split a name into its words and the number after each, -1 where there is none."""
    words: list[str] = []
    numbers: list[int] = []
    for part in name.split("_"):
        if part.isdecimal() and words and numbers[-1] < 0:
            numbers[-1] = int(part)
        else:
            words.append(part)
            numbers.append(-1)
    return tuple(words), tuple(numbers)


def places_by_rank(saved: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Return where each wanted name is among the saved ones, None if they do not correspond.

    The saved names may all have some words more at the end, which tell what is saved of the variable.
    """
    theirs, ours = [numbered(name) for name in saved], [numbered(name) for name in wanted]
    more = _longest(theirs) - _longest(ours)
    if more < 0:
        return None
    places = _ranked((words[: len(words) - more], numbers[: len(words) - more]) for words, numbers in theirs)
    ranks = _ranked(ours)
    if places.keys() != ranks.keys():
        return None
    positions = {position: places[rank] for rank, position in ranks.items()}
    return [positions[position] for position in range(len(wanted))]


def _longest(names: Iterable[tuple[Words, Numbers]]) -> int:
    return max((len(words) for words, _ in names), default=0)


def _ranked(names: Iterable[tuple[Words, Numbers]]) -> dict[tuple[Words, int], int]:
    """Return the position of each name by its words and its rank among those with the same words."""
    kinds: defaultdict[Words, list[tuple[Numbers, int]]] = defaultdict(list)
    for position, (words, numbers) in enumerate(names):
        kinds[words].append((numbers, position))
    return {
        (words, rank): position for words, found in kinds.items() for rank, (_, position) in enumerate(sorted(found))
    }
