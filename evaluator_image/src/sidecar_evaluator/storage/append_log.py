"""An append-only log of lines: `NAME.jsonl`, or numbered segments where the file system cannot append.

`results.journal` reads and appends through this. Each line is one write, and each append is synced and
closed, because object-store mounts upload a file when it is closed. Some of them cannot append at all:
there, every append creates a new segment, `NAME-0002.jsonl` and so on, which is written once. This module
must not interpret the lines.
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
_BLOCK_BYTES = 65536
_READ_THREADS = 16  # reading a segment from a bucket takes tens of milliseconds, most of it network latency
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


class AppendLog:
    """The log called `name` in a directory; it supports one writer at a time."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        self._segment_name = re.compile(rf"{re.escape(name)}(?:-(\d{{4,}}))?{re.escape(_SUFFIX)}")
        self._last_segment = 1
        self._repaired = False

    def read(self) -> Iterator[bytes]:
        """Repair a truncated last line, then yield every complete line in the order in which they were written.

        Raises OSError: a file cannot be read.
        """
        with suppress(OSError):
            self._repair()
        first, *later_segments = self._paths()
        with suppress(FileNotFoundError), first.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
        if later_segments:
            with ThreadPoolExecutor(_READ_THREADS) as pool:
                for content in pool.map(Path.read_bytes, later_segments):
                    yield from (line for line in content.splitlines(keepends=True) if line.endswith(b"\n"))

    def append(self, lines: Sequence[bytes]) -> None:
        """Append lines, each of which ends in a newline, and sync them to disk.

        Raises OSError: not all lines could be written; some of them may be in the log.
        """
        try:
            if not self._repaired:
                self._repair()
            self._append(lines)
        except OSError as error:
            self._repaired = False
            if error.errno not in _CANNOT_APPEND:
                raise
            self._write_segment(lines)

    def _append(self, lines: Sequence[bytes]) -> None:
        path = self._path(self._last_segment)
        is_new = not path.exists()
        self.directory.mkdir(parents=True, exist_ok=True)
        _append(path, lines)
        if is_new:
            sync_directory(self.directory)

    def _write_segment(self, lines: Sequence[bytes]) -> None:
        for number in count(self._last_segment + 1):
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
        self._last_segment, self._repaired = number, True

    def _repair(self) -> None:
        """Truncate an incomplete last line of the last segment, or append a newline where truncation is unsupported.

        Raises OSError: neither is possible, so the next line would become part of the incomplete one.
        """
        self._last_segment = max(self._numbers(), default=1)
        path = self._path(self._last_segment)
        complete_size = _complete_size(path)
        if complete_size is not None:
            try:
                os.truncate(path, complete_size)
            except OSError:
                _append(path, [b"\n"])
        self._repaired = True

    def _paths(self) -> list[Path]:
        return [self._path(number) for number in sorted({1, *self._numbers()})]

    def _path(self, number: int) -> Path:
        return self.directory / (f"{self.name}{_SUFFIX}" if number == 1 else f"{self.name}-{number:04}{_SUFFIX}")

    def _numbers(self) -> list[int]:
        try:
            names = [path.name for path in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        return [int(match[1] or 1) for name in names if (match := self._segment_name.fullmatch(name))]


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
            raise OSError(errno.ENOSPC, "a line could be written only in part")
    sync(file)


def _complete_size(path: Path) -> int | None:
    """Return the size up to and including the last newline, None if the file ends with it."""
    try:
        with path.open("rb") as file:
            position = end = file.seek(0, os.SEEK_END)
            while position > 0:
                position = max(position - _BLOCK_BYTES, 0)
                file.seek(position)
                newline = file.read(_BLOCK_BYTES).rfind(b"\n")
                if newline >= 0:
                    complete_size = position + newline + 1
                    return complete_size if complete_size < end else None
    except FileNotFoundError:
        return None
    return 0 if end else None
