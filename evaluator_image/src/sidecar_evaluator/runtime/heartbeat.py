"""Is the loop alive, and is an evaluation overdue? One small object between the threads.

The loop beats whenever it looks at the directory and says when an evaluation begins and ends; the
HTTP server asks `is_alive`, the watchdog asks `is_overdue`.
"""

import threading
from collections.abc import Callable
from time import monotonic

_SILENCE_ALLOWED = 60.0


class Heartbeat:
    """The time until which silence is normal; times are monotonic seconds."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._last = now()
        self._busy = False
        self._deadline: float | None = None

    def beat(self) -> None:
        """Say that the loop is running."""
        with self._lock:
            self._last = self._now()

    def begin(self, timeout: float | None = None) -> None:
        """Say that long work begins, which must end within `timeout` seconds if that is given."""
        with self._lock:
            self._busy = True
            self._deadline = None if timeout is None else self._now() + timeout

    def end(self) -> None:
        """Say that the long work has ended."""
        with self._lock:
            self._busy, self._deadline, self._last = False, None, self._now()

    def is_overdue(self) -> bool:
        """Tell whether long work has passed its limit."""
        with self._lock:
            return self._deadline is not None and self._now() >= self._deadline

    def is_alive(self) -> bool:
        """Tell whether the loop runs: it looked lately, or works on an evaluation within its limit."""
        with self._lock:
            if self._busy:
                return self._deadline is None or self._now() < self._deadline + _SILENCE_ALLOWED
            return self._now() < self._last + _SILENCE_ALLOWED
