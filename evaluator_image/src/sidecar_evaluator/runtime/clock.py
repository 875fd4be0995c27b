"""The clock that everything which waits or measures time takes as an argument.

The loop, discovery and the writers use it; tests pass a fake whose waits return at once. Wall time is for
timestamps, monotonic time for durations and deadlines.
"""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and interruptible waiting."""

    def time(self) -> float:
        """Return the wall time in seconds since the epoch."""

    def monotonic(self) -> float:
        """Return monotonic seconds."""

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Wait until the event is set or the seconds have passed; return whether the event is set."""


class SystemClock:
    """The clock of the operating system."""

    def time(self) -> float:
        """Return the wall time in seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Wait until the event is set or the seconds have passed; return whether the event is set."""
        return until.wait(seconds)
