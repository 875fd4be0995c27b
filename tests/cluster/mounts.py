"""The kernel's mounts below a folder: found, and taken away before anything below it is deleted.

Deleting below a mount would delete what is mounted, so `detach_below` raises while one is left.
"""

import re
from pathlib import Path

from cluster.commands import run
from cluster.errors import ClusterError

MOUNTINFO = Path("/proc/self/mountinfo")


def below(folder: Path, mountinfo: str) -> list[str]:
    """Return the mount points in or below a folder, the last mounted first."""
    top = str(folder)
    points = [_unescape(line.split()[4]) for line in mountinfo.splitlines()]
    return [point for point in reversed(points) if point == top or point.startswith(f"{top}/")]


def detach_below(folder: Path) -> None:
    """Detach every mount below a folder; ClusterError if one stays."""
    folder = folder.resolve()
    for point in below(folder, MOUNTINFO.read_text()):
        run(["umount", "--lazy", point])
    left = below(folder, MOUNTINFO.read_text())
    if left:
        raise ClusterError(f"still mounted: {', '.join(left)}", "umount it, then try again")


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
