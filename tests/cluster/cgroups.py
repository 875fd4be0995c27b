"""The kernel's control groups: version 2, or version 1 (alone or beside an empty version 2), and what each needs.

Containers live directly below the root group, so both versions are used the same way; version 2 alone wants its
controllers switched on for children, which in a container's own namespace works only from an emptied root.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

V1_NEEDED = ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
V2_NEEDED = ("cpu", "cpuset", "memory", "pids")


@dataclass(frozen=True)
class Cgroups:
    """The control groups mounted below one folder."""

    root: Path = Path("/sys/fs/cgroup")

    @property
    def version(self) -> int:
        """2 where the root itself is a version 2 hierarchy, else 1."""
        return 2 if (self.root / "cgroup.controllers").exists() else 1

    def lacking(self) -> list[str]:
        """Return the controllers that a kubelet needs and that are not there."""
        if self.version == 2:
            there = set((self.root / "cgroup.controllers").read_text().split())
            return [name for name in V2_NEEDED if name not in there]
        return [name for name in V1_NEEDED if not (self.root / name).is_dir()]

    def enable(self) -> None:
        """Version 2: give children every controller; move the root's processes aside where the kernel asks for it."""
        if self.version == 1:
            return
        switch = self.root / "cgroup.subtree_control"
        wanted = set((self.root / "cgroup.controllers").read_text().split()) - set(switch.read_text().split())
        if not wanted:
            return
        text = " ".join(f"+{name}" for name in sorted(wanted))
        try:
            switch.write_text(text)
        except OSError:
            self._move_processes()
            switch.write_text(text)

    def remove(self, name: str) -> None:
        """Remove a group that holds no process any more, its children, and its parent if that is empty then."""
        tops = [self.root] if self.version == 2 else [path for path in self.root.iterdir() if path.is_dir()]
        for top in tops:
            inner = [Path(folder) for folder, _, _ in os.walk(top / name, topdown=False)]
            for folder in [*inner, (top / name).parent]:
                with suppress(OSError):  # held by another, or gone
                    folder.rmdir()

    def _move_processes(self) -> None:
        leaf = self.root / "init"
        leaf.mkdir(exist_ok=True)
        for pid in (self.root / "cgroup.procs").read_text().split():
            with suppress(OSError):  # ended meanwhile, or the kernel's own
                (leaf / "cgroup.procs").write_text(pid)
