"""`fsync` for files and directories, on file systems that may not support it.

`storage.append_log` and `best_checkpoints.sources` call it after writing a file. An unsupported `fsync` is
ignored; a failed one is an error, because the data may be lost.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def sync(file: int) -> None:
    """Flush a file descriptor's data to disk; do nothing where the file system does not support it.

    Raises OSError: the data may be lost.
    """
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def sync_directory(path: Path) -> None:
    """Flush the entries of a directory to disk, where that is supported."""
    with suppress(OSError):
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
