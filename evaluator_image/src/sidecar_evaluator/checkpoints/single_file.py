"""`SingleFileFormat`: the base of formats whose checkpoint is one file that is written in place.

Such a file is not renamed into place when it is complete. Therefore its state is compared in two listings before it
is opened, and `open_unchanged` compares its state before and after it is read. The two Keras formats derive from
it; it must not interpret the content of files.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, FileState
from sidecar_evaluator.checkpoints.snapshot import consistent_snapshot
from sidecar_evaluator.errors import CheckpointUnreadable, first_line


class SingleFileFormat(CheckpointFormat):
    """A format whose checkpoint `NAME` is the file `NAME` + `suffix`; subclasses implement `inspect` and `read`."""

    suffix: str

    def __init__(self) -> None:
        self._states: dict[str, FileState] = {}

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Claim files by their suffix; hidden files are unfinished copies."""
        if is_directory or name.startswith(".") or not name.endswith(self.suffix):
            return None
        return name.removesuffix(self.suffix)

    def file_name(self, name: str) -> str:
        """Return the name of the checkpoint's only file."""
        return name + self.suffix

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Create the checkpoint of a file; a file that changed since the previous listing is still being written."""
        return Checkpoint(name, directory / self.file_name(name), self, (*files.values(),), self._missing(files))

    def _missing(self, files: Files) -> str:
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
