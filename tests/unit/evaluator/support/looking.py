"""Lists, inspects and reads the checkpoints of a directory, as the evaluator does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, Weights, state_of
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.discovery.directory import Directory


def look(*formats: CheckpointFormat, directory: Path, times: int = 2) -> dict[str, Checkpoint]:
    """List a directory several times; return the checkpoints by name, with the result of `inspect` in `missing`."""
    listed_directory = Directory(directory, formats=formats)
    for _ in range(times):
        checkpoints = listed_directory.look().checkpoints
    inspected = [
        checkpoint if checkpoint.missing else replace(checkpoint, missing=checkpoint.format.inspect(checkpoint))
        for checkpoint in checkpoints
    ]
    return {checkpoint.name: checkpoint for checkpoint in inspected}


def files_in(directory: Path) -> Files:
    """Return the states of the files in a directory."""
    return {path.name: state_of(directory, path.name) for path in directory.iterdir()}


def only(checkpoint_format: CheckpointFormat, directory: Path) -> Checkpoint:
    """Return the only checkpoint of a directory, which must be complete."""
    (checkpoint,) = look(checkpoint_format, directory=directory).values()
    assert not checkpoint.missing, checkpoint.missing
    return checkpoint


def read(checkpoint_format: CheckpointFormat, directory: Path, model: Any) -> Weights:
    """Read the only checkpoint of a directory."""
    return read_checkpoint(only(checkpoint_format, directory), model)


def is_same(weights: Weights, expected: list[Any]) -> bool:
    """Compare values bit by bit."""
    return all(
        ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()
        for ours, theirs in zip(map(np.asarray, weights.values), expected, strict=True)
    )
