"""A folder seen through a file system in user space, with faults that can be switched while it is mounted.

`faulty` serves it to the kernel; a test reaches it through `control` alone. A file that is read is opened anew for each
piece, so that what training does meanwhile is seen at once: the worst that any real mount does.
"""

import errno
import itertools
import os
import shutil
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mounts.faults import Deed, Faults, Meanwhile, Operation, Slow, Times, matches

PIECE = 4096
"""Bytes of one read: few, so that even a small file takes several."""

_PAUSE = 0.01
_SHOWN = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino")

Entry = tuple[str, dict[str, int], int]


class Passthrough:
    """The operations of the file system, named as the binding wants them; paths begin with a slash."""

    use_ns = True

    def __init__(self, root: Path, scratch: Path) -> None:
        self._root = root
        self._scratch = scratch
        self._shown = root
        self._faults = Faults()
        self._version = 0
        self._left: dict[int, int] = {}
        self._reads: Counter[str] = Counter()
        self._hits: Counter[str] = Counter()
        self._missed: set[str] = set()
        self._inodes = itertools.count(1 << 32)
        self._lock = threading.Lock()

    def switch(self, faults: Faults) -> None:
        """Begin with other faults, and with fresh counts."""
        with self._lock:
            self._shown = self._snapshot() if faults.stale or faults.stale_listing else self._root
            self._left = {number: fail.times for number, fail in enumerate(faults.fail) if fail.times is not None}
            self._reads.clear()
            self._hits.clear()
            self._missed.clear()
            self._faults = faults
            self._version += 1

    def hits(self) -> dict[str, int]:
        """Return how often each operation was asked for, and each fault met, since the last switch."""
        with self._lock:
            return dict(self._hits)

    def init_with_config(self, connection: Any, config: Any) -> None:
        """Agree with the kernel on small pieces: it must be told by the option and here."""
        connection.max_read = PIECE

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """Return the attributes of a file."""
        self._meet(Operation.STAT, path)
        self._require_found(path)
        return self._attributes(self._real(path))

    def readdir(self, path: str, fh: int) -> Iterator[Entry]:
        """List a directory with the kinds of its entries, as all the object mounts do."""
        self._meet(Operation.LIST, path)
        self._missed = {missed for missed in self._missed if str(Path(missed).parent) != path}
        folder = (self._shown if self._faults.stale_listing else self._root) / path.lstrip("/")
        with os.scandir(folder) as entries:
            children = [listed(entry.name, is_directory=entry.is_dir()) for entry in entries]
        return iter([listed(".", is_directory=True), listed("..", is_directory=True), *children])

    def open(self, path: str, flags: int) -> int:
        """Open a file."""
        self._meet(Operation.OPEN, path)
        return os.open(self._real(path), flags)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Read a piece of a file as it is now, whenever it was opened."""
        self._meet(Operation.READ, path)
        real = self._real(path)
        try:
            piece = self._piece(path, real, size, offset)
        except FileNotFoundError as error:
            raise OSError(errno.ESTALE, "deleted since it was opened") from error
        self._happen(path)
        return piece

    def create(self, path: str, mode: int, flags: int) -> int:
        """Make a file and open it."""
        self._meet(Operation.CREATE, path)
        return os.open(self._root / path.lstrip("/"), flags | os.O_CREAT, mode)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Write a piece of a file."""
        self._meet(Operation.WRITE, path)
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        """Cut a file."""
        os.truncate(self._root / path.lstrip("/"), length)

    def flush(self, path: str, fh: int) -> None:
        """Take note of a close."""

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        """Take note of a wish for durability."""

    def release(self, path: str, fh: int) -> None:
        """Close a file for the last time."""
        os.close(fh)

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        (self._root / old.lstrip("/")).rename(self._root / new.lstrip("/"))

    def unlink(self, path: str) -> None:
        """Delete a file."""
        (self._root / path.lstrip("/")).unlink()

    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory."""
        (self._root / path.lstrip("/")).mkdir(mode)

    def rmdir(self, path: str) -> None:
        """Delete an empty directory."""
        (self._root / path.lstrip("/")).rmdir()

    def chmod(self, path: str, mode: int) -> None:
        """Change a file's permissions."""
        (self._root / path.lstrip("/")).chmod(mode)

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        """Change a file's times."""
        os.utime(self._root / path.lstrip("/"), ns=times or (time.time_ns(), time.time_ns()))

    def _real(self, path: str) -> Path:
        return (self._shown if matches(path, self._faults.stale) else self._root) / path.lstrip("/")

    def _require_found(self, path: str) -> None:
        """Go on missing what was looked for in vain."""
        if not matches(path, self._faults.negative):
            return
        if path in self._missed or not self._real(path).exists():
            self._missed.add(path)
            self._count("negative")
            raise FileNotFoundError(errno.ENOENT, "looked for in vain")

    def _attributes(self, real: Path) -> dict[str, int]:
        status = real.lstat()
        shown = {name: getattr(status, name) for name in _SHOWN}
        modified = {
            Times.TRUE: status.st_mtime_ns,
            Times.SECONDS: status.st_mtime_ns // 10**9 * 10**9,
            Times.ZERO: 0,
            Times.NOW: time.time_ns(),
        }[self._faults.times]
        if self._faults.changing_inodes:
            shown["st_ino"] = next(self._inodes)
        return shown | {"st_mtime": modified, "st_ctime": modified, "st_atime": modified}

    def _piece(self, path: str, real: Path, size: int, offset: int) -> bytes:
        end = real.stat().st_size // 2
        if matches(path, self._faults.short):
            self._count("short")
            size = max(0, min(size, end - offset))
        with real.open("rb") as file:
            piece = os.pread(file.fileno(), size, offset)
        if matches(path, self._faults.zeroed):
            self._count("zeroed")
            kept = max(0, min(len(piece), end - offset))
            piece = piece[:kept] + bytes(len(piece) - kept)
        return piece

    def _meet(self, operation: Operation, path: str) -> None:
        """Be slow, and then fail, where the faults say so."""
        self._count(operation)
        for slow in self._faults.slow:
            if operation in slow.on and matches(path, slow.match):
                self._count("slow")
                self._linger(slow)
        for number, fail in enumerate(self._faults.fail):
            if operation in fail.on and matches(path, fail.match) and self._spend(number):
                self._count(fail.error)
                raise OSError(getattr(errno, fail.error), fail.error)

    def _linger(self, slow: Slow) -> None:
        version, began = self._version, time.monotonic()
        while self._version == version and (slow.seconds is None or time.monotonic() - began < slow.seconds):
            time.sleep(_PAUSE)

    def _spend(self, number: int) -> bool:
        with self._lock:
            left = self._left.get(number, 1)
            self._left |= {number: left - 1} if number in self._left else {}
            return left > 0

    def _happen(self, path: str) -> None:
        """Do what training does after this many reads of the file."""
        with self._lock:
            self._reads[path] += 1
            reads = self._reads[path]
        for meanwhile in self._faults.meanwhile:
            if reads == meanwhile.reads and matches(path, meanwhile.match):
                self._do(meanwhile, self._root / path.lstrip("/"))
                self._count(meanwhile.do)

    def _do(self, meanwhile: Meanwhile, file: Path) -> None:
        if meanwhile.do == Deed.DELETE:  # a word, as it came through JSON
            file.unlink()
        elif meanwhile.do == Deed.APPEND:
            with file.open("ab") as growing:
                growing.write(Path(meanwhile.source).read_bytes())
        else:
            fresh = self._scratch / "replacement"
            shutil.copyfile(meanwhile.source, fresh)
            fresh.replace(file)

    def _count(self, name: str) -> None:
        with self._lock:
            self._hits[name] += 1

    def _snapshot(self) -> Path:
        self._version += 1
        copy = self._scratch / f"snapshot-{self._version}"
        shutil.copytree(self._root, copy)
        return copy


def listed(name: str, *, is_directory: bool) -> Entry:
    """Return an entry of a listing; the C library leaves out one whose inode is 0."""
    return name, {"st_mode": stat.S_IFDIR if is_directory else stat.S_IFREG, "st_ino": 1}, 0


def options() -> dict[str, Any]:
    """Return the mount options: no cache in the kernel, so that every question reaches the operations."""
    seconds = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}
    return seconds | {"direct_io": True, "use_ino": True, "max_read": PIECE}
