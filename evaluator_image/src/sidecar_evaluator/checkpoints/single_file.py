"""What formats share whose checkpoint is one file, written in place: Keras weights and archives.

Such a file is never renamed into place, so that it is looked at twice before it is opened, and
compared before and after it is read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sidecar_evaluator.checkpoints.interface import Files, FileState
from sidecar_evaluator.checkpoints.snapshot import of_one_save
from sidecar_evaluator.errors import CheckpointUnreadable, first_line


def checkpoint_named(file: str, suffix: str) -> str | None:
    """Return what comes before a file's suffix; hidden files are other programs' unfinished copies."""
    if file.startswith(".") or not file.endswith(suffix):
        return None
    return file.removesuffix(suffix)


class LastLook:
    """The state that each file had at the last look."""

    def __init__(self) -> None:
        self._states: dict[str, FileState] = {}

    def missing(self, files: Files) -> str:
        """Say what a checkpoint of one file lacks: it must be as it was at the last look."""
        state = next(iter(files.values()), None)
        if state is None or not state.size:
            return "it is empty"
        same = self._states.get(state.name) == state
        self._states[state.name] = state
        return "" if same else "its size is still changing"


@contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """Open a file that is then read through this one descriptor, and must not change meanwhile.

    Raises CheckpointUnreadable: it changed, or cannot be read.
    """
    with _opened(path) as file, of_one_save(lambda: _identity(file)):
        yield file


def size_of(file: BinaryIO) -> int:
    """Return the size that an open file has now."""
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
