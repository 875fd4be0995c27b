"""What a checkpoint is and what a format must offer; every format implements `CheckpointFormat`.

`directory` lists once a poll and asks each format what it recognises; the evaluation asks the
checkpoint's own format to load it. Nothing here knows TensorFlow.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_NUMBER = re.compile(r"(?:^|(?<=[-_.]))\d+(?=$|[-_.])")
_DECIMAL = re.compile(r"\d+\.\d+")
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True)
class FileState:
    """One file as a listing saw it: enough to notice that it was written again."""

    name: str
    size: int
    modified_ns: int


Files = Mapping[str, FileState]


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of a directory, complete or not.

    `path` is what the format's reader opens: a prefix for TensorFlow, a file for Keras weights.
    `missing` says what a half-written checkpoint lacks and is empty for a complete one.
    """

    name: str
    path: Path
    format: "CheckpointFormat"
    files: tuple[FileState, ...]
    missing: str = ""

    @property
    def number(self) -> int | None:
        """The number in the name."""
        return number_in(self.name)

    @property
    def modified_at(self) -> float:
        """Time of the last change to any of its files, in seconds since the epoch."""
        return max(file.modified_ns for file in self.files) / 1e9

    @property
    def order(self) -> tuple[bool, int, float, str]:
        """Sort key: by number, those without one before all others and by time of change."""
        number = self.number
        return (number is not None, number or 0, self.modified_at, self.name)

    def is_unchanged(self) -> bool:
        """Tell whether its files are still those that were listed.

        Raises FileNotFoundError: one of them is gone.
        """
        return all(state_of(self.path.parent / file.name) == file for file in self.files)


class CheckpointFormat(Protocol):
    """One way of writing checkpoints."""

    name: str

    def find(self, directory: Path, files: Files) -> Iterable[Checkpoint]:
        """Recognise checkpoints in one listing of a directory, half-written ones included."""

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Look into a checkpoint that is complete by its listing; return what it still lacks."""

    def load(self, checkpoint: Checkpoint, model: Any) -> int | None:
        """Load the model's own variables and return the training iterations, None if not held.

        Raises CheckpointUnreadable: the files are damaged, or being written or deleted.
        CheckpointIncompatible: the variables are not those of the model.
        IterationsMissingError: the format holds iterations, this checkpoint does not.
        """


def number_in(name: str) -> int | None:
    """Return the last whole number that stands alone between the ends and `-`, `_` or `.` of a name.

    What comes before it names the run or the model (`resnet-50-0007`), a decimal is a score (`ckpt-07-0.25`).
    """
    found = _NUMBER.findall(_DECIMAL.sub("~", name))
    number = int(found[-1]) if found else None
    return number if number is not None and number <= _MAX_INT64 else None


def state_of(path: Path) -> FileState:
    """Look at one file."""
    status = path.stat()
    return FileState(path.name, status.st_size, status.st_mtime_ns)
