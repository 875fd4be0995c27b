"""Does the kernel tell about every change of a directory? Pure: a path and the text of a mount table.

`noticing` asks once at start. A file system that other machines write to gives events only for
what this machine does, so that only file systems known to be local count.
"""

from collections.abc import Iterator
from pathlib import PurePath

_LOCAL = frozenset({
    "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "ntfs3", "overlay", "ramfs",
    "reiserfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
})  # fmt: skip


def is_local(path: PurePath, mount_table: str) -> bool:
    """Tell whether an absolute path without symbolic links lies on a local file system, by `/proc/self/mountinfo`."""
    return file_system(path, mount_table) in _LOCAL


def file_system(path: PurePath, mount_table: str) -> str:
    """Return the type of the file system that a path lies on, "" where the table does not say."""
    kind, depth = "", -1
    for place, mounted in _mounts(mount_table):
        if path.is_relative_to(place) and len(place.parts) >= depth:  # of two on one place the later hides the earlier
            kind, depth = mounted, len(place.parts)
    return kind


def _mounts(mount_table: str) -> Iterator[tuple[PurePath, str]]:
    for line in mount_table.splitlines():
        mounted, separator, source = line.partition(" - ")
        fields = mounted.split()
        if separator and len(fields) > 4 and source:
            yield PurePath(_unescape(fields[4])), source.split()[0]


def _unescape(text: str) -> str:
    """Turn the octal escapes of the kernel, such as 040 for a space, into what they stand for."""
    for character in " \t\n\\":  # the backslash last: it begins the escapes
        text = text.replace(f"\\{ord(character):03o}", character)
    return text
