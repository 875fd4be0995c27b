"""The whole numbers in a checkpoint's name: what training counted when it saved.

`identity` orders by all of them together, `interface` asks for the one that `max_evaluations` is compared
with, and the evaluation's limit says which that is. Pure: a name is all that is looked at.
"""

import re

_COUNTED = r"(?:epochs?|ep|steps?|iter(?:ation)?s?)"
_NUMBER = re.compile(
    rf"(?:^|(?<=[-_.])|(?<=\d)(?={_COUNTED}))(?P<counted>{_COUNTED}[-_.=]?)?(?P<digits>\d+)(?=$|[-_.]|{_COUNTED})",
    re.IGNORECASE,
)
_DECIMAL = re.compile(
    r"(?<!\d)\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)(?!\.?\d)|(?<=[-_=])\.\d+(?:[eE][-+]?\d+)?(?!\.?\d)"
)
_MAX_INT64 = 2**63 - 1


def numbers_in(name: str) -> tuple[int, ...]:
    """Return the whole numbers of a name, in its order.

    A number stands alone between the ends and `-`, `_` or `.`, or follows `epoch`, `ep`, `step` or `iter`.
    A decimal is a score (`ckpt-07-0.25`), and other digits belong to a word (`model.h5`).
    """
    return tuple(number for number, _ in _numbers(name))


def place_of(name: str) -> tuple[int, tuple[int, ...]]:
    """Return the sort key of a name by its numbers; names with fewer of them come first."""
    numbers = numbers_in(name)
    return len(numbers), numbers


def number_in(name: str) -> int | None:
    """Return the number by which a checkpoint is called: the last one that follows `epoch`, `ep`, `step` or `iter`.

    Without such a word it is the last one: what comes before it names the run or the model (`resnet-50-0007`).
    """
    numbers = _numbers(name)
    counted = [number for number, is_counted in numbers if is_counted]
    return next(reversed(counted or [number for number, _ in numbers]), None)


def says_what_is_counted(name: str) -> bool:
    """Tell whether `epoch`, `ep`, `step` or `iter` stands before one of the numbers."""
    return any(is_counted for _, is_counted in _numbers(name))


def _numbers(name: str) -> list[tuple[int, bool]]:
    """Return the numbers with whether a word says that they are counted; no number is larger than the API stores."""
    matches = _NUMBER.finditer(_DECIMAL.sub("~", name))
    numbers = [(int(match["digits"]), match["counted"] is not None) for match in matches]
    return [(number, is_counted) for number, is_counted in numbers if number <= _MAX_INT64]
