"""What is free is the least of the machine's and of every control group's, whichever version."""

from pathlib import Path

import pytest

from sidecar_evaluator.engine import memory

MIB = 1 << 20
MEMINFO = {"proc/meminfo": "MemTotal: 8192 kB\nMemAvailable:    4096 kB\n"}
SECOND = {
    "proc/self/cgroup": "0::/pod/me\n",
    "sys/fs/cgroup/pod/me/memory.max": "max\n",
    "sys/fs/cgroup/pod/me/memory.current": "10\n",
    "sys/fs/cgroup/pod/memory.max": f"{3 * MIB}\n",
    "sys/fs/cgroup/pod/memory.current": f"{2 * MIB}\n",
    "sys/fs/cgroup/pod/memory.stat": f"anon 7\ninactive_file {MIB // 2}\n",
}
IN_A_POD = {
    "proc/self/cgroup": "0::/../../elsewhere\n",
    "sys/fs/cgroup/memory.max": f"{2 * MIB}\n",
    "sys/fs/cgroup/memory.current": f"{MIB}\n",
}
FIRST = {
    "proc/self/cgroup": "4:cpu,memory:/pod\n1:name=systemd:/\n",
    "sys/fs/cgroup/memory/pod/memory.limit_in_bytes": f"{3 * MIB}\n",
    "sys/fs/cgroup/memory/pod/memory.usage_in_bytes": f"{MIB}\n",
    "sys/fs/cgroup/memory/pod/memory.stat": f"total_inactive_file {MIB // 4}\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "5\n",
}
FULL = {
    "proc/self/cgroup": "0::/\n",
    "sys/fs/cgroup/memory.max": f"{MIB}\n",
    "sys/fs/cgroup/memory.current": f"{2 * MIB}\n",
}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (MEMINFO, 4 * MIB),
        (SECOND, 3 * MIB // 2),
        (MEMINFO | SECOND, 3 * MIB // 2),
        (IN_A_POD, MIB),
        (FIRST, 9 * MIB // 4),
        (FULL, 0),
    ],
)
def test_the_least_bound_counts(files: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory.available(tmp_path) == expected
    assert memory.fits(MIB // 2, tmp_path) == (expected != 0)
    assert memory.fits(3 * MIB, tmp_path) == (expected is None)


def test_this_machine_tells() -> None:
    assert (memory.available() or 0) > MIB
