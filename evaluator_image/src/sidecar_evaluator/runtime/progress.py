"""Word of a long evaluation while it runs: how many batches are done, and about how long it will take.

The engine calls it between two stretches of batches. Short evaluations say nothing.
"""

import logging
from collections.abc import Callable
from time import monotonic

_log = logging.getLogger(__name__)

_QUIET_SECONDS = 10.0


class ProgressLog:
    """Logs progress at most every `quiet` seconds; a smaller number of batches than before begins anew."""

    def __init__(self, quiet: float = _QUIET_SECONDS, now: Callable[[], float] = monotonic) -> None:
        self._quiet = quiet
        self._now = now
        self._began = self._told = now()
        self._done = 0

    def __call__(self, done: int, total: int | None) -> None:
        """Take note that so many batches are done, of a total where that is known."""
        now = self._now()
        if done <= self._done:
            self._began = self._told = now
        self._done = done
        if done and now - self._told >= self._quiet and (total is None or done < total):
            self._told = now
            _log.info("%s", _line(done, total, now - self._began))


def _line(done: int, total: int | None, seconds: float) -> str:
    if total is None:
        return f"Evaluating: {done} batches in {seconds:.0f} s"
    left = seconds / done * (total - done)
    return f"Evaluating: {done} of {total} batches ({100 * done // total} %), about {left:.0f} s left"
