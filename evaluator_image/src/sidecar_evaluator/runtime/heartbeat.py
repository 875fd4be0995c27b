"""The loop's heartbeat: the liveness probe and the evaluation timeout read it from other threads.

The loop calls `beat` whenever it lists the checkpoint directory, and `begin` and `end` around an
evaluation. The HTTP server calls `is_alive` for `/healthz`, the watchdog calls `is_overdue`.
"""

import threading
from collections.abc import Callable
from time import monotonic

_MAX_SILENCE_SECONDS = 60.0


class Heartbeat:
    """When the loop was last active and when the current evaluation must end, in monotonic seconds."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._last = now()
        self._busy = False
        self._deadline: float | None = None

    def beat(self) -> None:
        """Record that the loop is running."""
        with self._lock:
            self._last = self._now()

    def begin(self, timeout: float | None = None) -> None:
        """Record that an evaluation begins, which must end within `timeout` seconds unless that is None."""
        with self._lock:
            self._busy = True
            self._deadline = None if timeout is None else self._now() + timeout

    def end(self) -> None:
        """Record that the evaluation has ended."""
        with self._lock:
            self._busy, self._deadline, self._last = False, None, self._now()

    def is_overdue(self) -> bool:
        """Return whether the current evaluation has exceeded its timeout."""
        with self._lock:
            return self._deadline is not None and self._now() >= self._deadline

    def is_alive(self) -> bool:
        """Return whether the loop was active recently, or runs an evaluation that is within its timeout."""
        with self._lock:
            if self._busy:
                return self._deadline is None or self._now() < self._deadline + _MAX_SILENCE_SECONDS
            return self._now() < self._last + _MAX_SILENCE_SECONDS
