"""What the watcher does with a format, in small: look, inspect, read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Weights
from sidecar_evaluator.checkpoints.reader import read_whole
from sidecar_evaluator.discovery.directory import Directory


def look(*formats: CheckpointFormat, directory: Path, times: int = 2) -> dict[str, Checkpoint]:
    """Look at a directory; return each checkpoint by its name, with what `inspect` says is missing."""
    looked = Directory(directory, formats=formats)
    for _ in range(times):
        found = looked.look().checkpoints
    return {each.name: each if each.missing else replace(each, missing=each.format.inspect(each)) for each in found}


def only(checkpoint_format: CheckpointFormat, directory: Path) -> Checkpoint:
    """Return the only checkpoint of a directory, which must be complete."""
    (checkpoint,) = look(checkpoint_format, directory=directory).values()
    assert not checkpoint.missing, checkpoint.missing
    return checkpoint


def read(checkpoint_format: CheckpointFormat, directory: Path, model: Any) -> Weights:
    """Read the only checkpoint of a directory."""
    return read_whole(only(checkpoint_format, directory), model)


def is_same(weights: Weights, expected: list[Any]) -> bool:
    """Compare values bit by bit."""
    return all(
        ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()
        for ours, theirs in zip(map(np.asarray, weights.values), expected, strict=True)
    )
