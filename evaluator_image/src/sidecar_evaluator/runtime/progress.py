"""Logs the progress of a long evaluation: how many batches are done and the estimated remaining time.

The engine calls it between two calls of the compiled loop. Short evaluations log nothing.
"""

import logging
from collections.abc import Callable
from time import monotonic

_log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 10.0


class ProgressLog:
    """Logs progress at most once per `interval` seconds; a batch count that does not grow starts a new evaluation."""

    def __init__(self, interval: float = _INTERVAL_SECONDS, now: Callable[[], float] = monotonic) -> None:
        self._interval = interval
        self._now = now
        self._started = self._last_logged = now()
        self._done = 0

    def __call__(self, done: int, total: int | None) -> None:
        """Record that `done` batches are evaluated, out of `total` unless that is None."""
        now = self._now()
        if done <= self._done:
            self._started = self._last_logged = now
        self._done = done
        if done and now - self._last_logged >= self._interval and (total is None or done < total):
            self._last_logged = now
            _log.info("%s", _message(done, total, now - self._started))


def _message(done: int, total: int | None, seconds: float) -> str:
    if total is None:
        return f"Evaluating: {done} batches in {seconds:.0f} s"
    remaining = seconds / done * (total - done)
    return f"Evaluating: {done} of {total} batches ({100 * done // total} %), about {remaining:.0f} s left"
