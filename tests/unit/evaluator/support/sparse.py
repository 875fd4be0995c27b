"""Files with a hole, as programs leave them that copy several blocks of a file at once."""

import os
from pathlib import Path

BLOCK = 4096


def write_with_hole(path: Path, content: bytes, at: int, size: int = BLOCK) -> bytes:
    """Write a file but for one whole block that begins at or after an offset; return the block, which comes late."""
    start = -(-at // BLOCK) * BLOCK
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(len(content))
        os.pwrite(file.fileno(), content[:start], 0)
        os.pwrite(file.fileno(), content[start + size :], start + size)
    return content[start : start + size]


def write_late(path: Path, block: bytes, at: int) -> None:
    """Write the block that came late."""
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), block, -(-at // BLOCK) * BLOCK)
