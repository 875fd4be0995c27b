"""What a checkpoint is and what a format must offer; every format implements `CheckpointFormat`.

`directory` lists once a look and asks each format which entries are its own; `reading` asks the
checkpoint's own format for its weights. A new format is one module that implements the four methods
below and one line in `directory.FORMATS`. Nothing here knows TensorFlow.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from sidecar_evaluator.checkpoints.compatibility import size_in_memory

_NUMBER = re.compile(r"(?:^|(?<=[-_.]))\d+(?=$|[-_.])")
_DECIMAL = re.compile(r"(?<!\d)\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)(?!\.?\d)")
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True)
class FileState:
    """One file as a look saw it: enough to notice that it was written again.

    `name` is relative to the checkpoint directory. A directory has size 0.
    """

    name: str
    size: int
    modified_ns: int


Files = Mapping[str, FileState]


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of a directory, complete or not.

    `path` is what the format's reader opens: a prefix for TensorFlow, a file for Keras, a directory for
    Orbax. `missing` says what a half-written checkpoint lacks and is empty for a complete one.
    """

    name: str
    path: Path
    format: "CheckpointFormat"
    files: tuple[FileState, ...]
    missing: str = ""

    @cached_property
    def number(self) -> int | None:
        """The number in the name."""
        return number_in(self.name)

    @cached_property
    def key(self) -> object:
        """What makes it the same checkpoint as another: its name, and without a number also its files."""
        return self.name if self.number is not None else (self.name, self.files)

    @cached_property
    def modified_at(self) -> float:
        """Time of the last change to any of its files, in seconds since the epoch."""
        return max(file.modified_ns for file in self.files) / 1e9

    @cached_property
    def order(self) -> tuple[bool, int, float, str]:
        """Sort key: by number, those without one before all others and by time of change."""
        number = self.number
        return (number is not None, number or 0, self.modified_at, self.name)


@dataclass(frozen=True)
class Weights:
    """A checkpoint in host memory, provably of one moment.

    `values` are arrays or tensors, one for each of `restored_variables(model)` in that order; `iterations` is the
    training's own counter, None where the format holds none. `others` are variables of the model that are none of
    its weights, each with its value.
    """

    values: Sequence[Any]
    iterations: int | None
    others: Sequence[tuple[Any, Any]] = ()

    @property
    def size(self) -> int:
        """Return the bytes that the values take."""
        return size_in_memory([*self.values, *(value for _, value in self.others)])


class CheckpointFormat(Protocol):
    """One way of writing checkpoints."""

    name: str

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Return the name of the checkpoint that an entry of the directory belongs to, None if to none.

        Called once for each entry that appears, with nothing but the listing known.
        """

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Make the checkpoint `name` of the entries that belong to it, saying in `missing` what it lacks.

        Called again after each look that saw a change of the entries of an incomplete checkpoint.
        """

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Look into a checkpoint that is complete by its listing; return what it still lacks.

        The answer may change until it is "" once; it is not asked again then.
        """

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read the model's own variables into host memory, and nothing else; leave the model as it is.

        Called from any thread, also while the model is being evaluated.

        Raises CheckpointUnreadable: the files are damaged, or being written or deleted.
        CheckpointIncompatible: the variables are not those of the model.
        IterationsMissingError: the format always holds iterations, this checkpoint does not.
        """


def number_in(name: str) -> int | None:
    """Return the last whole number that stands alone between the ends and `-`, `_` or `.` of a name.

    What comes before it names the run or the model (`resnet-50-0007`), a decimal is a score (`ckpt-07-0.25`).
    """
    found = _NUMBER.findall(_DECIMAL.sub("~", name))
    number = int(found[-1]) if found else None
    return number if number is not None and number <= _MAX_INT64 else None


def state_of(directory: Path, name: str) -> FileState:
    """Look at one file of the checkpoint directory.

    Raises FileNotFoundError: it is gone.
    """
    status = (directory / name).stat()
    return FileState(name, status.st_size, status.st_mtime_ns)
