"""Finds the parts of a file that nobody has written yet.

Programs that copy a file in blocks, several at once, leave a hole for a block that comes late: the file has its whole
size, and the hole reads as zeros. `keras.hdf5` and `orbax.arrays` ask before they take a file for complete. File
systems that cannot tell (`SEEK_HOLE`) show none. This module must not read or change a file.
"""

import os
from pathlib import Path

NOT_WRITTEN = "not written yet or left out by a sparse copy"
"""What a hole means, for messages."""


def hole_after(descriptor: int, start: int, end: int) -> int:
    """Return the offset of the first hole of an open file in a range; the end of the range if there is none."""
    try:
        return min(os.lseek(descriptor, start, os.SEEK_HOLE), end)
    except OSError:
        return end


def has_hole(path: Path, size: int) -> bool:
    """Tell whether the first `size` bytes of a file have a hole.

    Raises OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        return hole_after(file.fileno(), 0, size) < size
