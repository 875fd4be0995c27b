"""What was read is of one save, or is not used: the check that each format's `read` runs in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sidecar_evaluator.errors import CheckpointError, CheckpointUnreadable, IterationsMissingError, first_line

Identity = TypeVar("Identity")


@contextmanager
def of_one_save(identity: Callable[[], Identity]) -> Iterator[Identity]:
    """Yield what identifies a save, and compare it afterwards; where it changed, even an error may be of two saves.

    Raises CheckpointUnreadable: it changed, or a library could not read it.
    """
    try:
        before = identity()
        try:
            yield before
        except (CheckpointError, IterationsMissingError):
            _require_same(identity(), before)
            raise
        _require_same(identity(), before)
    except (CheckpointError, IterationsMissingError):
        raise
    except Exception as error:  # damage makes TensorFlow, HDF5 and tensorstore raise any of a dozen types
        raise CheckpointUnreadable(first_line(error)) from error


def _require_same(after: object, before: object) -> None:
    if after != before:
        raise CheckpointUnreadable("It was written again while it was read.")
