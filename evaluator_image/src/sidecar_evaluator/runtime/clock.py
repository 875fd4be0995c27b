"""Time as an argument: everything that waits or measures takes a `Clock`.

Tests pass a clock of their own whose waits cost nothing. Wall time is for people and file times,
monotonic time for durations and deadlines.
"""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """The three things that the loop asks of time."""

    def time(self) -> float:
        """Return wall time in seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Wait, at most until the event is set; return whether it is."""


class SystemClock:
    """The machine's own time."""

    def time(self) -> float:
        """Return wall time in seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Wait, at most until the event is set; return whether it is."""
        return until.wait(seconds)
