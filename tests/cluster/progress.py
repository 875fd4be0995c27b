"""Progress lines: one for each step, with the seconds since the start, so that long work shows it is alive.

Every part that does something slow takes a `Progress`; tests take `Progress(io.StringIO())`.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Progress:
    """Writes lines such as `[  12.3 s] building kubelet v1.34.4`."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def seconds(self) -> float:
        """Seconds since this progress began."""
        return self.clock() - self.started

    def say(self, line: str) -> None:
        """Write one line at once."""
        print(f"[{self.seconds:7.1f} s] {line}", file=self.stream, flush=True)
