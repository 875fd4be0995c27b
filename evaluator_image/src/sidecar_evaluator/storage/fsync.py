"""Making what was written outlive the machine, as far as the file system below knows how to.

The journal and the copies of checkpoints end every file with this.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def sync(file: int) -> None:
    """Put what was written to a file on the disk.

    Raises OSError: what was written may be lost. A file system that cannot sync is no error.
    """
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def sync_directory(path: Path) -> None:
    """Put the names in a directory on the disk, where that is possible."""
    with suppress(OSError):
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
