"""Copies of a checkpoint's files that are proven to be what was evaluated.

`store` asks a source for its files. Each file is hashed while it is copied and read back from
the copy; a checkpoint's files are compared before and after with what the evaluation saw. Files are
only created and written from front to back, as object-store mounts demand. Nothing is ever written
beside the checkpoint.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from sidecar_evaluator.checkpoints.interface import Checkpoint, FileState, state_of
from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.errors import first_line
from sidecar_evaluator.storage.fsync import sync, sync_directory

_BLOCK = 4 * 1024 * 1024

Export = Callable[[Path], None]


class SourceLostError(Exception):
    """The files that were evaluated are gone, have changed, or cannot be read any more."""


@dataclass(frozen=True)
class Copied:
    """One file of a copy; `name` is relative to the copy, `sha256` in hexadecimal."""

    name: str
    size: int
    sha256: str


class Source(Protocol):
    """Where a copy's files come from.

    `format` is theirs, `loading` is Python that loads them, `origin` says in the manifest where they are
    from, `path` is what the format's reader opens, relative to the copy.
    """

    format: str
    loading: str
    origin: str
    path: str

    def lies_in(self, directory: Path) -> bool:
        """Tell whether the directory is the checkpoints' own, into which nothing may be written."""

    def names(self) -> list[str]:
        """Return the names of the files that `write_to` makes."""

    def write_to(self, place: Path) -> list[Copied]:
        """Make the files in a directory.

        Raises SourceLostError: they cannot be had from this source.
        OSError: they cannot be written.
        """


class FilesOf:
    """A checkpoint's own files."""

    origin = "checkpoint"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.format, self.loading = checkpoint.format.name, checkpoint.format.loading
        self.path = checkpoint.path.name

    def lies_in(self, directory: Path) -> bool:
        """Compare with the checkpoint directory."""
        return self._checkpoint.path.parent.resolve() == directory.resolve()

    def names(self) -> list[str]:
        """Return the names, relative to the checkpoint directory."""
        return sorted(_contents(self._checkpoint))

    def write_to(self, place: Path) -> list[Copied]:
        """Copy the files as they were when the checkpoint was evaluated; they must make a whole checkpoint again."""
        before = _contents(self._checkpoint)
        copied = [_copy(self._checkpoint.path.parent, name, place) for name in sorted(before)]
        sizes = {file.name: file.size for file in copied}
        if _contents(self._checkpoint) != before or sizes != {name: state.size for name, state in before.items()}:
            raise SourceLostError("it was written again or deleted while it was copied")
        copy = replace(self._checkpoint, path=place / self._checkpoint.path.name)
        if missing := self._checkpoint.format.inspect(copy):
            raise SourceLostError(f"it is not whole any more: {missing}")
        return copied


class FromMemory:
    """The weights that were evaluated, written by `export` as a Keras weights file."""

    format, loading, origin = KerasWeights.name, KerasWeights.loading, "memory"

    def __init__(self, name: str, export: Export) -> None:
        self.path = f"{name}.weights.h5"
        self._export = export

    def lies_in(self, directory: Path) -> bool:  # noqa: ARG002 - the interface's signature
        """Return False: these files are not training's."""
        return False

    def names(self) -> list[str]:
        """Return the one name."""
        return [self.path]

    def write_to(self, place: Path) -> list[Copied]:
        """Write the file elsewhere first: a weights file is not written from front to back."""
        with tempfile.TemporaryDirectory(prefix="best-") as scratch:
            self._export(Path(scratch) / self.path)
            return [_copy(Path(scratch), self.path, place)]


class FromCopy:
    """The files of an earlier copy."""

    def __init__(self, place: Path, files: Sequence[Copied], manifest: Mapping[str, Any]) -> None:
        self.format, self.loading = manifest["format"], manifest.get("load", "")
        self.origin, self.path = manifest["origin"], manifest["path"]
        self._place = place
        self._files = list(files)

    def lies_in(self, directory: Path) -> bool:  # noqa: ARG002 - the interface's signature
        """Return False: these files are not training's."""
        return False

    def names(self) -> list[str]:
        """Return the names."""
        return [file.name for file in self._files]

    def write_to(self, place: Path) -> list[Copied]:
        """Copy the files, which must still be what they were."""
        copied = [_copy(self._place, file.name, place) for file in self._files]
        if copied != self._files:
            raise SourceLostError("its copy is damaged")
        return copied


def create(path: Path, content: bytes) -> None:
    """Write a new file for good, in one piece."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        _write(file, content)
        sync(file)
    finally:
        os.close(file)
    sync_directory(path.parent)


def is_inside(name: str) -> bool:
    """Tell whether a relative name stays below the directory that it is relative to."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _contents(checkpoint: Checkpoint) -> Mapping[str, FileState]:
    """Return the state of every file by its name; where the checkpoint is a directory, of all below it.

    Raises SourceLostError: they are not those that the evaluation saw.
    """
    directory = checkpoint.path.parent
    try:
        states = {file.name: state_of(directory, file.name) for file in checkpoint.files}
        if any(states[file.name] != file for file in checkpoint.files):
            raise SourceLostError("it was written again after it was evaluated")
        return _below(directory, checkpoint.path.name) if checkpoint.path.is_dir() else states
    except FileNotFoundError as error:
        raise SourceLostError("it was deleted before it was copied") from error
    except OSError as error:
        raise SourceLostError(f"it cannot be read any more: {first_line(error)}") from error


def _below(directory: Path, name: str) -> dict[str, FileState]:
    states = {}
    for parent, directories, files in os.walk(directory / name, onerror=_raise):
        if any((Path(parent) / child).is_symlink() for child in directories):
            raise SourceLostError("it holds a link to a directory, which is not followed")
        for file in files:
            relative = str((Path(parent) / file).relative_to(directory))
            states[relative] = state_of(directory, relative)
    return states


def _raise(error: OSError) -> None:
    raise error


def _copy(directory: Path, name: str, place: Path) -> Copied:
    """Copy one file and read the copy back."""
    target = place / name
    target.parent.mkdir(parents=True, exist_ok=True)
    copied = _copy_hashed(directory / name, target, name)
    with target.open("rb", buffering=0) as file:
        with suppress(OSError):  # so that what is read back comes from the disk
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if hashlib.file_digest(file, "sha256").hexdigest() != copied.sha256:
            raise OSError(errno.EIO, "the copy reads back differently", str(target))
    sync_directory(target.parent)
    return copied


def _copy_hashed(source: Path, target: Path, name: str) -> Copied:
    digest, size = hashlib.sha256(), 0
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        for block in _blocks(source):
            digest.update(block)
            _write(file, block)
            size += len(block)
        sync(file)
    finally:
        os.close(file)
    return Copied(name, size, digest.hexdigest())


def _blocks(path: Path) -> Iterator[memoryview]:
    """Read a source's file; its errors are told apart from those of writing the copy."""
    buffer = memoryview(bytearray(_BLOCK))
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                yield buffer[:count]
    except OSError as error:
        raise SourceLostError(f"it cannot be read any more: {first_line(error)}") from error


def _write(file: int, content: bytes | memoryview) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
