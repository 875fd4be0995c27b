"""The same folder with the rules of Mountpoint for S3: a file is written once, from its beginning to its end.

There is no rename, no append and no change in place; a file is there for readers once it is closed or synchronised,
and can be written again only from nothing, where overwriting is allowed at all. Errors are those that Mountpoint gives.
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mounts.passthrough import Entry, Passthrough, listed


@dataclass
class _Upload:
    """A file that is being written."""

    staged: Path
    handle: int
    size: int = 0
    finished: bool = False


class WriteOnce(Passthrough):
    """Operations of a mount on which only whole new files can be written."""

    def __init__(self, root: Path, scratch: Path, *, overwrite: bool, delete: bool) -> None:
        super().__init__(root, scratch)
        self._overwrite = overwrite
        self._delete = delete
        self._uploads: dict[str, _Upload] = {}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """Return the attributes of a file; one that is being written has the size so far."""
        upload = self._uploads.get(path)
        return self._attributes(upload.staged) if upload else super().getattr(path, fh)

    def readdir(self, path: str, fh: int) -> Iterator[Entry]:
        """List a directory, with what is being written in it."""
        present = list(super().readdir(path, fh))
        names = {name for name, _, _ in present}
        within = [Path(upload).name for upload in self._uploads if str(Path(upload).parent) == path]
        return iter([*present, *(listed(name, is_directory=False) for name in within if name not in names)])

    def open(self, path: str, flags: int) -> int:
        """Open a file to read it, or to write it anew."""
        if flags & os.O_ACCMODE == os.O_RDONLY:
            self._refuse_if(path in self._uploads)
            return super().open(path, flags)
        self._refuse_if(path in self._uploads or not (self._overwrite and flags & os.O_TRUNC))
        return self._begin(path)

    def create(self, path: str, mode: int, flags: int) -> int:
        """Begin a new file."""
        return self._begin(path)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Take the next piece of a file."""
        upload = self._uploads.get(path)
        if upload is None or upload.finished:
            raise OSError(errno.EIO, "the upload has ended")
        if offset != upload.size:
            raise OSError(errno.EINVAL, "out of order")
        upload.size += os.pwrite(upload.handle, data, offset)
        return len(data)

    def flush(self, path: str, fh: int) -> None:
        """Finish the upload at a close; an empty file waits for its last close."""
        upload = self._uploads.get(path)
        if upload and upload.handle == fh and upload.size:
            self._finish(path)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        """Finish the upload: nothing can be written to it afterwards."""
        if path in self._uploads:
            self._finish(path)

    def release(self, path: str, fh: int) -> None:
        """Finish the upload if it is not yet."""
        upload = self._uploads.get(path)
        if upload and upload.handle == fh:
            self._finish(path)
            del self._uploads[path]
        super().release(path, fh)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        """Refuse: a file is not cut, it is written anew."""
        raise OSError(errno.EPERM, "no change in place")

    def rename(self, old: str, new: str) -> None:
        """Refuse: a bucket cannot rename."""
        raise OSError(errno.ENOSYS, "no rename")

    def unlink(self, path: str) -> None:
        """Delete a file that is not being written, where deleting is allowed."""
        self._refuse_if(path in self._uploads or not self._delete)
        super().unlink(path)

    def chmod(self, path: str, mode: int) -> None:
        """Refuse: a bucket has no permissions."""
        raise OSError(errno.EPERM, "no permissions to change")

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        """Take the times of a file that is being written, and forget them."""
        self._refuse_if(path not in self._uploads)

    def _begin(self, path: str) -> int:
        staged = self._scratch / f"upload-{next(self._inodes)}"
        handle = os.open(staged, os.O_RDWR | os.O_CREAT)
        self._uploads[path] = _Upload(staged, handle)
        return handle

    def _finish(self, path: str) -> None:
        upload = self._uploads[path]
        if not upload.finished:
            upload.finished = True
            os.link(upload.staged, final := upload.staged.with_suffix(".done"))
            final.replace(self._root / path.lstrip("/"))

    def _refuse_if(self, condition: bool) -> None:
        if condition:
            raise OSError(errno.EPERM, "not writable, or not readable while it is written")
