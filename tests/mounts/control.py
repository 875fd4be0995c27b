"""The test's side of the faulty file system: mounts it, switches its faults, asks what was met."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mounts.faults import Faults
from mounts.mount import Mount, mounted
from support.waiting import DEADLINE

_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class FaultyMount:
    """A faulty mount: training writes to `origin`, the evaluator reads `folder`."""

    mount: Mount
    origin: Path
    address: str

    @property
    def folder(self) -> Path:
        """The mounted folder."""
        return self.mount.folder

    def switch(self, faults: Faults) -> dict[str, int]:
        """Begin with other faults; return how often those before were met."""
        return self._ask(faults.to_json())

    def met(self) -> dict[str, int]:
        """Return how often each of the present faults has been met."""
        return self._ask("")

    def _ask(self, line: str) -> dict[str, int]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE)
            connection.connect(self.address)
            connection.sendall(line.encode() + b"\n")
            with connection.makefile() as answers:
                met: dict[str, int] = json.loads(answers.readline())
        return met


@contextmanager
def faulty(parent: Path, *rules: str) -> Iterator[FaultyMount]:
    """Mount a faulty file system below a folder of the test; `rules` are flags such as `--write-once`."""
    origin, scratch, folder = parent / "origin", parent / "scratch", parent / "mount"
    for path in (origin, scratch):
        path.mkdir(parents=True)
    address = str(parent / "control")
    command: list[str | Path] = [sys.executable, "-m", "mounts.faulty", origin, folder, address, scratch, *rules]
    environment = {**os.environ, "PYTHONPATH": str(_TESTS), "FUSE_LIBRARY_NAME": "fuse3"}
    with mounted(command, folder, parent / "faulty.log", environment) as mount:
        faulty_mount = FaultyMount(mount, origin, address)
        try:
            yield faulty_mount
        finally:
            if mount.process.poll() is None:
                faulty_mount.switch(Faults())  # lets go of what hangs, so that it can be unmounted
