"""How much memory this process may still take: the pod's limit, or what the machine has free.

Asked before something is kept that could be read again: batches between checkpoints, several
checkpoints at once. Reads three small files; a file that is absent bounds nothing.
"""

import re
from pathlib import Path

_ROOT = Path("/")
_UNLIMITED = 1 << 60  # control groups of version 1 say "no limit" by a number near 2**63


def available(root: Path = _ROOT) -> int | None:
    """Return the bytes that are free for this process, None where nothing tells."""
    bounds = [_machine(root), *(_group(folder, *names) for folder, names in _groups(root))]
    known = [bound for bound in bounds if bound is not None]
    return max(0, min(known)) if known else None


def fits(size: int, root: Path = _ROOT) -> bool:
    """Tell whether so many bytes are at most half of what is free."""
    free = available(root)
    return free is None or size <= free // 2


def _machine(root: Path) -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _groups(root: Path) -> list[tuple[Path, tuple[str, str, str]]]:
    """Return the folders of the control groups that may limit this process: its own and those above."""
    own = {controllers: path for _, controllers, path in _lines(root / "proc/self/cgroup")}
    mount = root / "sys/fs/cgroup"
    second = ("memory.max", "memory.current", "inactive_file")
    first = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    folders = [(folder, second) for folder in _upwards(mount, own.get("", "/"))]
    memory = next((path for controllers, path in own.items() if "memory" in controllers.split(",")), "/")
    return folders + [(folder, first) for folder in _upwards(mount / "memory", memory)]


def _lines(path: Path) -> list[tuple[str, str, str]]:
    parts = (line.split(":", 2) for line in _text(path).splitlines())
    return [(part[0], part[1], part[2]) for part in parts if len(part) == 3]


def _upwards(mount: Path, path: str) -> list[Path]:
    """Every group above limits too."""
    below = Path(path.lstrip("/"))
    return [mount / below, *(mount / parent for parent in below.parents)]


def _group(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """Return what a group has left; the page cache that it can drop counts as free."""
    allowed, used = _text(folder / limit).strip(), _text(folder / usage).strip()
    if not allowed.isdigit() or not used.isdigit() or int(allowed) >= _UNLIMITED:
        return None
    found = re.search(rf"^{cache} (\d+)", _text(folder / "memory.stat"), re.MULTILINE)
    return int(allowed) - int(used) + (int(found[1]) if found else 0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
