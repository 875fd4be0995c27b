"""For how long something that is tried again and again has failed, such as publishing to the API server.

The threads that try tell it, `/readyz` asks. It tries nothing itself.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic


class Contact:
    """Notes attempts; before the first one nothing has failed. Times are monotonic seconds."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._lost_at: float | None = None

    def succeeded(self) -> None:
        """Note that an attempt has succeeded."""
        with self._lock:
            self._lost_at = None

    def failed(self) -> None:
        """Note that an attempt has failed."""
        with self._lock:
            self._lost_at = self._now() if self._lost_at is None else self._lost_at

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Note whether the block raises."""
        try:
            yield
        except BaseException:
            self.failed()
            raise
        self.succeeded()

    def seconds_lost(self) -> float:
        """Return for how long every attempt has failed, 0 where the last one has succeeded."""
        with self._lock:
            return 0.0 if self._lost_at is None else self._now() - self._lost_at
