"""Reads arrays out of an HDF5 file through one descriptor: all that is read is of one file.

Used by the formats of Keras, for a file of its own or a member of an archive. No lock is taken, so
that the training can always write. Large arrays are read past the HDF5 library, straight into host
memory and without Python's lock. What points to another file is refused.
"""

import io
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BRAIN_FLOAT = "bfloat16"


class Region(io.RawIOBase):
    """A part of an open file, which stays open: a member of an archive, or all of it."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._position = 0

    def is_whole_hdf5(self) -> bool:
        """Tell whether it is an HDF5 file that its writer has closed: the superblock then tells its size."""
        head = bytearray(48)
        if self.read_at(head, 0) < len(head) or not head.startswith(_SIGNATURE):
            return False
        offset = 40 if head[8] < 2 else 28  # where superblock versions 0-1 and 2-3 keep the end of file
        return bool(struct.unpack_from("<Q", head, offset)[0] == self._size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset."""
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        """Return the offset."""
        return self._position

    def seekable(self) -> bool:
        """Return yes."""
        return True

    def readable(self) -> bool:
        """Return yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the region reaches; return the number of bytes."""
        count = self.read_at(buffer, self._position)
        self._position += count
        return count

    def read_at(self, buffer: Any, offset: int) -> int:
        """Fill the buffer from an offset; return the number of bytes."""
        wanted = memoryview(buffer).cast("B")
        wanted = wanted[: max(0, self._size - offset)]
        done = 0
        while done < len(wanted):
            count = os.preadv(self._descriptor, [wanted[done:]], self._start + offset + done)
            if not count:
                break
            done += count
        return done


class Arrays:
    """The arrays of an open HDF5 file by their names, such as `layers/dense/vars/0`."""

    def __init__(self, region: Region) -> None:
        import h5py

        self._region = region
        self._file = h5py.File(region, "r")

    def __enter__(self) -> "Arrays":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def below(self, skipped: Iterable[str]) -> dict[str, Any]:
        """Return all datasets but those in the top groups to skip; their values are not read.

        Raises OSError: one keeps its data elsewhere.
        """
        found: dict[str, Any] = {}
        for top in sorted(self._file.keys() - set(skipped)):
            found.update(self._walk(top))
        return found

    def integer(self, name: str) -> int | None:
        """Return a whole number, None if there is none of that name."""
        for part in _prefixes(name):
            if part not in self._file or not self._is_inside(part):
                return None
        dataset = self._file[name]
        return int(dataset[()]) if dataset.dtype.kind in "iu" and dataset.shape == () else None

    def read(self, dataset: Any) -> Any:
        """Read a dataset.

        Raises OSError: it reaches past the end of the file.
        """
        import numpy as np

        offset = dataset.id.get_offset()  # None where the data lie in chunks, or were never written
        if offset is None or dataset.dtype.hasobject:
            return _typed(np.asarray(dataset[()]), dataset)
        values = np.empty(dataset.shape, dataset.dtype)
        if self._region.read_at(values.reshape(-1).view(np.uint8), offset) < values.nbytes:
            raise OSError(f"{dataset.name} reaches past the end of the file")
        return _typed(values, dataset)

    def _walk(self, top: str) -> Iterator[tuple[str, Any]]:
        import h5py

        if not self._is_inside(top):
            raise OSError(f"{top} is in another file or place, which is refused")
        item = self._file[top]
        found = {top: item} if isinstance(item, h5py.Dataset) else {}
        if not found:
            item.visititems(lambda name, each: found.update({f"{top}/{name}": each}))  # follows no soft links
        for name, each in found.items():
            if isinstance(each, h5py.Dataset):
                if each.external or each.is_virtual:
                    raise OSError(f"{name} keeps its data in another file, which is refused")
                yield name, each

    def _is_inside(self, name: str) -> bool:
        import h5py

        return self._file.get(name, getclass=True, getlink=True) is h5py.HardLink


def _prefixes(name: str) -> Iterator[str]:
    parts = PurePosixPath(name).parts
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _typed(values: Any, dataset: Any) -> Any:
    """Give back the type that HDF5 knows only as two bytes."""
    if (
        values.dtype.kind == "V"
        and values.dtype.itemsize == 2
        and dataset.attrs.get("dtype", _BRAIN_FLOAT) == _BRAIN_FLOAT
    ):
        import ml_dtypes

        return values.view(ml_dtypes.bfloat16)
    return values
