"""What a checkpoint is and what a format must offer; every format is a `CheckpointFormat`.

`discovery.directory` lists once a look and asks each format which entries are its own; `reader` asks
the checkpoint's own format for its weights. A new format is one module that implements the four
methods without a body of their own below, and one line in `registry`. Nothing here knows TensorFlow.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from sidecar_evaluator.checkpoints.compatibility import size_in_memory
from sidecar_evaluator.checkpoints.identity import CheckpointId, checkpoint_id
from sidecar_evaluator.checkpoints.name_numbers import number_in


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
class FileStatus:
    """A file's state, and its inode: another one after the file was replaced instead of written into."""

    state: FileState
    inode: int


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of a directory, complete or not.

    `path` is what the format's reader opens: a prefix for TensorFlow, a file for Keras, a directory for
    Orbax. `missing` says what a half-written checkpoint lacks and is empty for a complete one. It
    `is_deleted` where a complete one is not listed any more.
    """

    name: str
    path: Path
    format: "CheckpointFormat"
    files: tuple[FileState, ...]
    missing: str = ""
    is_deleted: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the listing shows all that belongs to it; its format may still find that something is missing."""
        return not self.missing and not self.is_deleted

    @cached_property
    def number(self) -> int | None:
        """The number in the name, of several the one that it is called by."""
        return number_in(self.name)

    @cached_property
    def modified_at(self) -> float:
        """Time of the last change to any of its files, in seconds since the epoch."""
        return max(file.modified_ns for file in self.files) / 1e9

    @cached_property
    def id(self) -> CheckpointId:
        """Which checkpoint it is."""
        return checkpoint_id(self.name, self.number, self.modified_at)

    @property
    def version(self) -> tuple[str, tuple[FileState, ...]]:
        """Its files exactly as the look saw them: other than the identity, it changes while they are written."""
        return self.name, self.files


@dataclass(frozen=True)
class Weights:
    """A checkpoint in host memory, whose values are all of one save.

    `values` are arrays or tensors, one for each of `variables_to_restore(model)` in that order; `iterations` is the
    training's own counter, None where the format holds none. `tf_variables` are the `tf.Variable`s of the
    model that are not among its weights, each with its value. `read_from` is what the files were when they were
    read; empty for formats whose checksums prove that the values are whole.
    """

    values: Sequence[Any]
    iterations: int | None
    tf_variables: Sequence[tuple[Any, Any]] = ()
    read_from: Sequence[FileStatus] = ()

    @property
    def size(self) -> int:
        """Return the bytes that the values take."""
        return size_in_memory([*self.values, *(value for _, value in self.tf_variables)])

    def step_of(self, checkpoint: Checkpoint) -> int | None:
        """Return the training's step: its iterations, or the number in the name where the format holds none."""
        return checkpoint.number if self.iterations is None else self.iterations


class CheckpointFormat(Protocol):
    """One way of writing checkpoints.

    `depth` is how many levels of a checkpoint that is a directory show whether it is complete: 1 for the
    entry alone. It `has_checksums` where reading verifies all values. `loading`
    is Python that loads a copy from `path`; it stands in the manifest of each copy.
    """

    name: str
    depth: int = 1
    has_checksums: bool = False
    loading: str = ""

    @abstractmethod
    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Return the name of the checkpoint that an entry of the directory belongs to, None if to none.

        Called once for each entry that appears, with nothing but the listing known.
        """

    def file_name(self, name: str) -> str:
        """Return the name of the file, prefix or directory that a checkpoint is read from."""
        return name

    @abstractmethod
    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Make the checkpoint `name` of the entries that belong to it, saying in `missing` what it lacks.

        Called again after each look that saw a change of the entries of an incomplete checkpoint.
        """

    @abstractmethod
    def inspect(self, checkpoint: Checkpoint) -> str:
        """Look into a checkpoint that is complete by its listing; return what it still lacks.

        The answer may change until it is "" once; it is not asked again then.
        """

    @abstractmethod
    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read the model's own variables into host memory, and nothing else; leave the model as it is.

        Called from any thread, also while the model is being evaluated.

        Raises CheckpointUnreadable: the files are damaged, or being written or deleted.
        CheckpointIncompatible: the variables are not those of the model.
        IterationsMissingError: the format always holds iterations, this checkpoint does not.
        ModelCodeError: the model's own code raises; see `model_code`.
        """

    def model_in(self, checkpoint: Checkpoint) -> Any:  # noqa: ARG002 - for formats that hold the model itself
        """Return the model that the checkpoint holds, None where the format holds weights alone.

        Raises CheckpointError: it holds one that cannot be loaded.
        """
        return None


def state_of(directory: Path, name: str) -> FileState:
    """Look at one file of the checkpoint directory.

    Raises FileNotFoundError: it is gone.
    """
    return status_of(directory, name).state


def status_of(directory: Path, name: str) -> FileStatus:
    """Look at one file of the checkpoint directory, and tell which one has the name.

    Raises FileNotFoundError: it is gone.
    """
    status = (directory / name).stat()
    return FileStatus(FileState(name, status.st_size, status.st_mtime_ns), status.st_ino)
