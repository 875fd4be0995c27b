"""What the directory does with a format, in small: list, claim, assemble, inspect, read."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, FileState, Weights
from sidecar_evaluator.checkpoints.reading import read_whole


def look(checkpoint_format: CheckpointFormat, directory: Path) -> dict[str, Checkpoint]:
    """Look once; return each checkpoint by its name, `missing` completed by what `inspect` says."""
    claimed: dict[str, dict[str, FileState]] = {}
    for path in sorted(directory.iterdir()):
        if name := checkpoint_format.claim(path.name, is_directory=path.is_dir()):
            claimed.setdefault(name, {}).update(states(directory, path, getattr(checkpoint_format, "depth", 1)))
    found = {name: checkpoint_format.assemble(directory, name, files) for name, files in claimed.items()}
    return {name: each if each.missing else _inspected(each) for name, each in found.items()}


def look_twice(checkpoint_format: CheckpointFormat, directory: Path) -> dict[str, Checkpoint]:
    """Look again, as a poll later."""
    look(checkpoint_format, directory)
    return look(checkpoint_format, directory)


def read(checkpoint_format: CheckpointFormat, directory: Path, model: Any, name: str = "") -> Weights:
    """Read one checkpoint, the only one unless it is named, which must be complete."""
    found = look_twice(checkpoint_format, directory)
    checkpoint = found[name] if name else next(iter(found.values()))
    assert not checkpoint.missing, checkpoint.missing
    return read_whole(checkpoint, model)


def states(directory: Path, path: Path, depth: int) -> Iterator[tuple[str, FileState]]:
    """Yield the states of an entry and, of a directory, of what is in it down to a depth."""
    status, name = path.stat(), str(path.relative_to(directory))
    yield name, FileState(name, 0 if path.is_dir() else status.st_size, status.st_mtime_ns)
    if path.is_dir() and depth:
        for below in sorted(os.listdir(path)):
            yield from states(directory, path / below, depth - 1)


def _inspected(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, missing=checkpoint.format.inspect(checkpoint))
