"""What may be expected of the file system below a directory: one answer for all that reads or writes there.

A file system that other machines write to reports only this machine's own changes and may show an old
listing, so that only types known to be local count as local. A quirk of another file system belongs
here. Asked once at start; nothing but the mount table is read.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

MOUNT_THE_BUCKET = "mount the bucket, for example with gcsfuse, and give the path of the mounted directory"
_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
MOUNT_TABLE = Path("/proc/self/mountinfo")

_LOCAL = frozenset({
    "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "ntfs3", "overlay", "ramfs",
    "reiserfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
})  # fmt: skip
_REMOTE_LISTING_AGE = 60.0  # gcsfuse, and Mountpoint for S3 with a cache, keep metadata for a minute by default


def is_url(path: str) -> bool:
    """Tell whether a path is the URL of a bucket, which no file system knows."""
    return bool(_URL.match(path))


@dataclass(frozen=True)
class FileSystem:
    """A file system by its `type`, "" where that is unknown.

    `is_local` where no other machine writes to it; `tells_changes` where the kernel reports every change.
    """

    type: str
    is_local: bool
    tells_changes: bool

    @property
    def listing_age(self) -> float:
        """How old a listing may be, in seconds."""
        return 0.0 if self.is_local else _REMOTE_LISTING_AGE

    @property
    def revisits(self) -> int:
        """How many files a look at a directory may see to again: elsewhere than on a local disk each is a request."""
        return 16 if self.is_local else 2

    @property
    def shows_open_files(self) -> bool:
        """Whether others see what is written before the file is closed: a bucket shows whole files only."""
        return self.is_local


def file_system_of(path: Path, mount_table: Path = MOUNT_TABLE) -> FileSystem:
    """Return what fits the file system that a directory lies on, or will lie on once it exists."""
    table = mount_table.read_text(errors="replace") if mount_table.exists() else ""
    if not table:  # another operating system than Linux: a directory of one machine
        return FileSystem("", is_local=True, tells_changes=False)
    name = file_system_type(PurePath(os.path.realpath(path)), table)
    return FileSystem(name, is_local=name in _LOCAL, tells_changes=name in _LOCAL)


def file_system_type(path: PurePath, mount_table: str) -> str:
    """Return the type of the file system that an absolute path without links lies on, by `/proc/self/mountinfo`.

    Returns "" where the table does not say.
    """
    name, depth = "", -1
    for mount_point, mounted_type in _mounts(mount_table):
        is_deeper = len(mount_point.parts) >= depth  # of two on one mount point the later hides the earlier
        if path.is_relative_to(mount_point) and is_deeper:
            name, depth = mounted_type, len(mount_point.parts)
    return name


def _mounts(mount_table: str) -> Iterator[tuple[PurePath, str]]:
    for line in mount_table.splitlines():
        mount, separator, source = line.partition(" - ")
        fields = mount.split()
        if separator and len(fields) > 4 and source:
            yield PurePath(_unescape(fields[4])), source.split()[0]


def _unescape(text: str) -> str:
    """Turn the octal escapes of the kernel, such as 040 for a space, into what they stand for."""
    for character in " \t\n\\":  # the backslash last: it begins the escapes
        text = text.replace(f"\\{ord(character):03o}", character)
    return text
