"""Determines how much memory this process can still allocate: within the pod's limit and the machine's free memory.

The feeds ask before they cache batches, `evaluator` before it reads several checkpoints, the loop before it
prefetches. It reads a few small files of the kernel; a file that does not exist imposes no limit.
"""

import re
from pathlib import Path

_ROOT = Path("/")
_UNLIMITED = 1 << 60  # cgroups v1 represent "no limit" by a number near 2**63


def available(root: Path = _ROOT) -> int | None:
    """Return the bytes that this process can still allocate, None if that is unknown."""
    sources = [_machine(root), *(_cgroup(directory, *names) for directory, names in _cgroups(root))]
    limits = [size for size in sources if size is not None]
    return max(0, min(limits)) if limits else None


def fits(size: int, root: Path = _ROOT) -> bool:
    """Return whether so many bytes are at most half of the available memory."""
    free = available(root)
    return free is None or size <= free // 2


def _machine(root: Path) -> int | None:
    match = re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _cgroups(root: Path) -> list[tuple[Path, tuple[str, str, str]]]:
    """Return the directories of the cgroups that may limit this process, and the names that each version uses."""
    paths = {controllers: path for _, controllers, path in _lines(root / "proc/self/cgroup")}
    mount = root / "sys/fs/cgroup"
    names_v2 = ("memory.max", "memory.current", "inactive_file")
    names_v1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    memory = next((path for controllers, path in paths.items() if "memory" in controllers.split(",")), "/")
    directories = [(directory, names_v2) for directory in _with_parents(mount, paths.get("", "/"))]
    return directories + [(directory, names_v1) for directory in _with_parents(mount / "memory", memory)]


def _lines(path: Path) -> list[tuple[str, str, str]]:
    parts = (line.split(":", 2) for line in _text(path).splitlines())
    return [(part[0], part[1], part[2]) for part in parts if len(part) == 3]


def _with_parents(mount: Path, path: str) -> list[Path]:
    """Return the directories of a cgroup and its parents, whose limits apply too."""
    relative = Path(path.lstrip("/"))
    return [mount / relative, *(mount / parent for parent in relative.parents)]


def _cgroup(directory: Path, limit_file: str, usage_file: str, cache: str) -> int | None:
    """Return the memory that a cgroup can still allocate; reclaimable page cache counts as free."""
    limit, usage = _text(directory / limit_file).strip(), _text(directory / usage_file).strip()
    if not limit.isdigit() or not usage.isdigit() or int(limit) >= _UNLIMITED:
        return None
    match = re.search(rf"^{cache} (\d+)", _text(directory / "memory.stat"), re.MULTILINE)
    return int(limit) - int(usage) + (int(match[1]) if match else 0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
