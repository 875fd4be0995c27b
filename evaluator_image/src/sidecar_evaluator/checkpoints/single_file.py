"""Shared by the formats whose checkpoint is one file that is written in place: Keras weights and archives.

Such a file is not renamed into place when it is complete. Therefore `StabilityCheck` compares its state in two
listings before it is opened, and `open_unchanged` compares its state before and after it is read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sidecar_evaluator.checkpoints.interface import Files, FileState
from sidecar_evaluator.checkpoints.snapshot import consistent_snapshot
from sidecar_evaluator.errors import CheckpointUnreadable, first_line


def checkpoint_name(file: str, suffix: str) -> str | None:
    """Return a file's name without the suffix, None without that suffix; hidden files are unfinished copies."""
    if file.startswith(".") or not file.endswith(suffix):
        return None
    return file.removesuffix(suffix)


class StabilityCheck:
    """Remembers the state of each file in the previous listing."""

    def __init__(self) -> None:
        self._states: dict[str, FileState] = {}

    def missing(self, files: Files) -> str:
        """Return why a single-file checkpoint is incomplete: its state must equal that in the previous listing."""
        state = next(iter(files.values()), None)
        if state is None or not state.size:
            return "it is empty"
        is_stable = self._states.get(state.name) == state
        self._states[state.name] = state
        return "" if is_stable else "its size is still changing"


@contextmanager
def open_unchanged(path: Path) -> Iterator[BinaryIO]:
    """Open a file that is read through this one descriptor and must not change until the block ends.

    Raises CheckpointUnreadable: the file changed, or cannot be read.
    """
    with _opened(path) as file, consistent_snapshot(lambda: _identity(file)):
        yield file


def size_of(file: BinaryIO) -> int:
    """Return the current size of an open file."""
    return os.fstat(file.fileno()).st_size


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise CheckpointUnreadable(first_line(error)) from error
    with file:
        yield file
