"""Lines that outlive the process, in `NAME.jsonl` and, where that cannot be appended to, in segments.

The journal reads and appends through this. Each line is one write and each append is synced and
closed, because object-store mounts upload at close. Some of them cannot append at all: there every
append becomes a file of its own, `NAME-0002.jsonl` and on, written once. What the lines mean is not
known here.
"""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

from sidecar_evaluator.storage.fsync import sync, sync_directory

_SUFFIX = ".jsonl"
_BLOCK = 65536
_READERS = 16  # a segment in a bucket takes tens of milliseconds to read, most of it waiting
_CANNOT_APPEND = {
    errno.EPERM,
    errno.EACCES,
    errno.EINVAL,
    errno.EIO,
    errno.EBADF,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_CREATING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class LineFiles:
    """The lines called `name` in a directory, one writer at a time."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        self._segment = re.compile(rf"{re.escape(name)}(?:-(\d{{4,}}))?{re.escape(_SUFFIX)}")
        self._last = 1
        self._mended = False

    def read(self) -> Iterator[bytes]:
        """Yield every whole line in the order of writing, after mending a torn last one.

        Raises OSError: a file cannot be read.
        """
        with suppress(OSError):
            self._mend()
        first, *others = self._paths()
        with suppress(FileNotFoundError), first.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
        if others:
            with ThreadPoolExecutor(_READERS) as pool:
                for content in pool.map(Path.read_bytes, others):
                    yield from (line for line in content.splitlines(keepends=True) if line.endswith(b"\n"))

    def append(self, lines: Sequence[bytes]) -> None:
        """Append lines, each ending in a newline, for good.

        Raises OSError: they could not all be written; those that were may stay.
        """
        try:
            if not self._mended:
                self._mend()
            self._append(lines)
        except OSError as error:
            self._mended = False
            if error.errno not in _CANNOT_APPEND:
                raise
            self._write_segment(lines)

    def _append(self, lines: Sequence[bytes]) -> None:
        path = self._path(self._last)
        is_new = not path.exists()
        self.directory.mkdir(parents=True, exist_ok=True)
        _append(path, lines)
        if is_new:
            sync_directory(self.directory)

    def _write_segment(self, lines: Sequence[bytes]) -> None:
        for number in count(self._last + 1):
            path = self._path(number)
            try:
                file = os.open(path, _CREATING, 0o644)
            except FileExistsError:
                continue
            break
        try:
            try:
                _write(file, lines)
            finally:
                os.close(file)
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise
        sync_directory(self.directory)
        self._last, self._mended = number, True

    def _mend(self) -> None:
        """Cut a line that was not written whole off the last file, or end it where nothing can be cut.

        Raises OSError: neither is possible, so that the next line would be lost with it.
        """
        self._last = max(self._numbers(), default=1)
        path = self._path(self._last)
        whole = _whole_size(path)
        if whole is not None:
            try:
                os.truncate(path, whole)
            except OSError:
                _append(path, [b"\n"])
        self._mended = True

    def _paths(self) -> list[Path]:
        return [self._path(number) for number in sorted({1, *self._numbers()})]

    def _path(self, number: int) -> Path:
        return self.directory / (f"{self.name}{_SUFFIX}" if number == 1 else f"{self.name}-{number:04}{_SUFFIX}")

    def _numbers(self) -> list[int]:
        try:
            names = [path.name for path in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        return [int(found[1] or 1) for name in names if (found := self._segment.fullmatch(name))]


def _append(path: Path, lines: Sequence[bytes]) -> None:
    file = os.open(path, _APPENDING, 0o644)
    try:
        size = os.fstat(file).st_size
        try:
            _write(file, lines)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, size)
            raise
    finally:
        os.close(file)


def _write(file: int, lines: Sequence[bytes]) -> None:
    for line in lines:
        if os.write(file, line) < len(line):
            raise OSError(errno.ENOSPC, "only a part of a line could be written")
    sync(file)


def _whole_size(path: Path) -> int | None:
    """Return the size up to the last newline, None where nothing follows it."""
    try:
        with path.open("rb") as file:
            position = end = file.seek(0, os.SEEK_END)
            while position > 0:
                position = max(position - _BLOCK, 0)
                file.seek(position)
                newline = file.read(_BLOCK).rfind(b"\n")
                if newline >= 0:
                    whole = position + newline + 1
                    return whole if whole < end else None
    except FileNotFoundError:
        return None
    return 0 if end else None
