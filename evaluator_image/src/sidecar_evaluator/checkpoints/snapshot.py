"""Guarantees that what a format reads is a consistent snapshot of one save.

The formats run `read` within `consistent_snapshot`. It compares only what the caller passes as the identity of a
save; it must not open files itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sidecar_evaluator.errors import CheckpointError, CheckpointUnreadable, IterationsMissingError, first_line

Identity = TypeVar("Identity")


@contextmanager
def consistent_snapshot(identity: Callable[[], Identity]) -> Iterator[Identity]:
    """Yield the identity of a save and compare it after the block, even if the block raised a checkpoint error.

    Raises CheckpointUnreadable: the identity changed, or a library could not read the checkpoint.
    """
    try:
        before = identity()
        try:
            yield before
        except (CheckpointError, IterationsMissingError):
            require_same_save(identity(), before)
            raise
        require_same_save(identity(), before)
    except (CheckpointError, IterationsMissingError):
        raise
    except Exception as error:  # for damaged files, TensorFlow, HDF5 and tensorstore raise many types of errors
        raise CheckpointUnreadable(first_line(error)) from error


def require_same_save(after: object, before: object) -> None:
    """Compare what identifies a save before and after it was read.

    Raises CheckpointUnreadable: it changed.
    """
    if after != before:
        raise CheckpointUnreadable("It was written again while it was read.")
