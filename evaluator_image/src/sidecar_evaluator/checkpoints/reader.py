"""Reads one checkpoint and guarantees that its weights are a consistent snapshot.

`evaluator` reads every checkpoint through `read_checkpoint`, also in the thread that prefetches. Sizes and
modification times of the files are compared before and after: if a file was overwritten or deleted meanwhile,
the weights are discarded. A change that keeps size and time is detected by the checksums of the format.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, FileState, FileStatus, Weights, status_of
from sidecar_evaluator.checkpoints.snapshot import require_same_save
from sidecar_evaluator.errors import CheckpointGone, CheckpointUnreadable, first_line, is_storage_gone


def read_checkpoint(checkpoint: Checkpoint, model: Any) -> Weights:
    """Read the checkpoint's weights for a model.

    Raises CheckpointGone: it was deleted before it was read completely.
    CheckpointUnreadable: it is damaged, or was overwritten while it was read.
    CheckpointIncompatible, IterationsMissingError, ModelCodeError: see `CheckpointFormat.read`.
    OSError: the mount is gone.
    """
    statuses = _statuses(checkpoint)
    before = [status.state for status in statuses]
    try:
        weights = checkpoint.format.read(checkpoint, model)
    except CheckpointUnreadable:
        require_same_save(_states(checkpoint), before)
        raise
    require_same_save(_states(checkpoint), before)
    return weights if checkpoint.format.has_checksums else replace(weights, read_from=statuses)


def require_complete(checkpoint: Checkpoint) -> None:
    """Check that a checkpoint is complete, and still exists, according to its last listing.

    Raises CheckpointGone: it was deleted.
    CheckpointUnreadable: it is half-written and is not expected to be completed.
    """
    if checkpoint.is_deleted:
        raise CheckpointGone("It was deleted before it was evaluated.")
    if checkpoint.missing:
        raise CheckpointUnreadable(f"It is not whole: {checkpoint.missing}.")


def _states(checkpoint: Checkpoint) -> list[FileState]:
    return [status.state for status in _statuses(checkpoint)]


def _statuses(checkpoint: Checkpoint) -> list[FileStatus]:
    directory: Path = checkpoint.path.parent
    try:
        return [status_of(directory, file.name) for file in checkpoint.files]
    except FileNotFoundError as error:
        raise CheckpointGone("It was deleted before it was read completely.") from error
    except OSError as error:
        if is_storage_gone(error):
            raise
        raise CheckpointUnreadable(first_line(error)) from error
