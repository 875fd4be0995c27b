"""Reads arrays from an HDF5 file through one file descriptor, which is that of a file or of an archive.

Only the Keras formats use it. No file lock is taken, so that the training can always write. Contiguous arrays
are read into host memory without the HDF5 library and without holding the GIL. Links and datasets that refer
to other files are refused.
"""

import io
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any

from sidecar_evaluator.checkpoints.holes import NOT_WRITTEN, hole_after

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BFLOAT16 = "bfloat16"


class Region(io.RawIOBase):
    """A byte range of an open file, either a member of an archive or the whole file; it does not close the file.

    In one that `is_verified` by a checksum, holes are zeros that a copy has left out.
    """

    def __init__(self, descriptor: int, start: int, size: int, *, is_verified: bool = False) -> None:
        self._is_verified = is_verified
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._position = 0

    def is_complete_hdf5(self) -> bool:
        """Return whether it is an HDF5 file that its writer has closed: the superblock then contains its size."""
        head = bytearray(48)
        if self.read_at(head, 0) < len(head) or not head.startswith(_SIGNATURE):
            return False
        offset = 40 if head[8] < 2 else 28  # of the end-of-file address in superblock versions 0-1 and 2-3
        return bool(struct.unpack_from("<Q", head, offset)[0] == self._size)

    def has_hole(self, start: int = 0, size: int | None = None) -> bool:
        """Return whether a part of the region, or of the bytes that are given, was never written."""
        end = self._start + (self._size if size is None else start + size)
        return not self._is_verified and hole_after(self._descriptor, self._start + start, end) < end

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position and return it."""
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read at the position until the buffer is full or the region ends; return the number of bytes."""
        count = self.read_at(buffer, self._position)
        self._position += count
        return count

    def read_at(self, buffer: Any, offset: int) -> int:
        """Read at an offset until the buffer is full or the region ends; return the number of bytes."""
        target = memoryview(buffer).cast("B")
        target = target[: max(0, self._size - offset)]
        done = 0
        while done < len(target):
            count = os.preadv(self._descriptor, [target[done:]], self._start + offset + done)
            if not count:
                break
            done += count
        return done


class Arrays:
    """The datasets of an open HDF5 file by name, such as `layers/dense/vars/0`."""

    def __init__(self, region: Region) -> None:
        import h5py

        self._region = region
        self._has_hole = region.has_hole()
        self._file = h5py.File(region, "r")

    def __enter__(self) -> "Arrays":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def datasets(self, skipped: Iterable[str]) -> dict[str, Any]:
        """Return all datasets except those in the skipped top-level groups; values are not read.

        Raises OSError: a dataset's data is in another file.
        """
        datasets: dict[str, Any] = {}
        for top in sorted(self._file.keys() - set(skipped)):
            datasets.update(self._walk(top))
        return datasets

    def unwritten(self, skipped: Iterable[str]) -> str:
        """Return the name of a dataset of which a part was never written, "" if there is none.

        Those of the top-level groups `skipped` may have holes: zeros that a copy has left out.
        """
        datasets = self.datasets(skipped) if self._has_hole else {}
        return next((name for name, dataset in datasets.items() if self._is_unwritten(dataset)), "")

    def integer(self, name: str) -> int | None:
        """Return the value of a scalar integer dataset, None if there is none with this name."""
        for part in _prefixes(name):
            if part not in self._file or not self._is_inside(part):
                return None
        dataset = self._file[name]
        return int(dataset[()]) if dataset.dtype.kind in "iu" and dataset.shape == () else None

    def read(self, dataset: Any) -> Any:
        """Read the values of a dataset.

        Raises OSError: its data extends beyond the end of the file.
        """
        import numpy as np

        offset = dataset.id.get_offset()  # None if the data is chunked or was never written
        if self._is_unwritten(dataset):
            raise OSError(f"a part of {dataset.name} is a hole, {NOT_WRITTEN}")
        if offset is None or dataset.dtype.hasobject:
            return _typed(np.asarray(dataset[()]), dataset)
        values = np.empty(dataset.shape, dataset.dtype)
        if self._region.read_at(values.reshape(-1).view(np.uint8), offset) < values.nbytes:
            raise OSError(f"{dataset.name} extends beyond the end of the file")
        return _typed(values, dataset)

    def _is_unwritten(self, dataset: Any) -> bool:
        offset = dataset.id.get_offset()
        if not self._has_hole or not dataset.nbytes:
            return False
        return self._region.has_hole() if offset is None else self._region.has_hole(offset, dataset.nbytes)

    def _walk(self, top: str) -> Iterator[tuple[str, Any]]:
        import h5py

        if not self._is_inside(top):
            raise OSError(f"{top} is a soft or external link, which is refused")
        node = self._file[top]
        items = {top: node} if isinstance(node, h5py.Dataset) else {}
        if not items:
            node.visititems(lambda name, item: items.update({f"{top}/{name}": item}))  # does not follow soft links
        for name, item in items.items():
            if isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise OSError(f"{name} keeps its data in another file, which is refused")
                yield name, item

    def _is_inside(self, name: str) -> bool:
        import h5py

        return self._file.get(name, getclass=True, getlink=True) is h5py.HardLink


def _prefixes(name: str) -> Iterator[str]:
    parts = PurePosixPath(name).parts
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _typed(values: Any, dataset: Any) -> Any:
    """Return bfloat16 values with their dtype: HDF5 stores them as opaque two-byte values."""
    if values.dtype.kind == "V" and values.dtype.itemsize == 2 and dataset.attrs.get("dtype", _BFLOAT16) == _BFLOAT16:
        import ml_dtypes

        return values.view(ml_dtypes.bfloat16)
    return values
