"""Looks at a checkpoint's files again before its score is published: was it whole when it was read?

A block of a file may be written after the rest was quiet for a while, so that two equal listings and an unchanged state
during the reading prove nothing. `loop` calls this after each evaluation. Formats with checksums need no second look.
A checkpoint that was deleted or replaced meanwhile was whole when it was read. This module must not settle anything.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, FileStatus, Weights, status_of
from sidecar_evaluator.errors import CheckpointError, CheckpointUnreadable


def require_still_whole(checkpoint: Checkpoint, weights: Weights, read: Callable[[Checkpoint], Weights]) -> None:
    """Check that nothing was written into the files since they were read; if so, read them again and compare.

    Raises CheckpointUnreadable: the weights that were evaluated were not yet complete, or may not have been.
    """
    if not any(_is_written_since(checkpoint.path.parent, status) for status in weights.read_from):
        return
    try:
        again = read(checkpoint)
    except CheckpointError:
        is_whole = checkpoint.number is None  # a name that is written again and again: this is the next save
    else:
        is_whole = _is_same(again, weights) or _is_another_save(checkpoint, again, weights)
    if not is_whole:
        raise CheckpointUnreadable("It was written to while it was evaluated.")


def _is_written_since(directory: Path, before: FileStatus) -> bool:
    try:
        now = status_of(directory, before.state.name)
    except OSError:  # deleted since
        return False
    return now.inode == before.inode and now.state != before.state


def _is_another_save(checkpoint: Checkpoint, again: Weights, before: Weights) -> bool:
    if before.iterations is None or again.iterations is None:
        return checkpoint.number is None
    return before.iterations != again.iterations


def _is_same(again: Weights, before: Weights) -> bool:
    import numpy as np

    pairs = zip(_values(again), _values(before), strict=True)
    return all(np.asarray(ours).tobytes() == np.asarray(theirs).tobytes() for ours, theirs in pairs)


def _values(weights: Weights) -> list[Any]:
    return [*weights.values, *(value for _, value in weights.tf_variables)]
