"""Matches the names that Keras generates, such as `dense_3`, between a training process and this one.

Keras numbers them in the order of creation, across all models of a process. If the training created other
models before, the same layer has another number there, but the order among names with the same words is the
same. The formats that find variables by name use this module; it must not access models or files.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

Words = tuple[str, ...]
Numbers = tuple[int, ...]


def split_numbers(name: str) -> tuple[Words, Numbers]:
    """Split a name into its words and the number that follows each of them, -1 where there is none."""
    words: list[str] = []
    numbers: list[int] = []
    for part in name.split("_"):
        if part.isdecimal() and words and numbers[-1] < 0:
            numbers[-1] = int(part)
        else:
            words.append(part)
            numbers.append(-1)
    return tuple(words), tuple(numbers)


def positions_by_rank(saved: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Return the position of each wanted name among the saved names, None if they do not correspond.

    The saved names may all have additional words at the end, such as the name of an optimizer's slot.
    """
    saved_names, wanted_names = [split_numbers(name) for name in saved], [split_numbers(name) for name in wanted]
    suffix = _longest(saved_names) - _longest(wanted_names)
    if suffix < 0:
        return None
    saved_ranks = _ranked(
        (words[: len(words) - suffix], numbers[: len(words) - suffix]) for words, numbers in saved_names
    )
    wanted_ranks = _ranked(wanted_names)
    if saved_ranks.keys() != wanted_ranks.keys():
        return None
    positions = {position: saved_ranks[rank] for rank, position in wanted_ranks.items()}
    return [positions[position] for position in range(len(wanted))]


def _longest(names: Iterable[tuple[Words, Numbers]]) -> int:
    return max((len(words) for words, _ in names), default=0)


def _ranked(names: Iterable[tuple[Words, Numbers]]) -> dict[tuple[Words, int], int]:
    """Return the position of each name by its words and its rank among the names with the same words."""
    by_words: defaultdict[Words, list[tuple[Numbers, int]]] = defaultdict(list)
    for position, (words, numbers) in enumerate(names):
        by_words[words].append((numbers, position))
    return {
        (words, rank): position
        for words, same_words in by_words.items()
        for rank, (_, position) in enumerate(sorted(same_words))
    }
