"""The results in the resource's status, from a thread of its own.

Only the newest ledger matters, so reports that wait while the API server is slow or away become one
write. Failed writes are tried again with back-off for as long as the process lives; at exit `flush`
tells whether the last ledger has arrived.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.writers.interface import Report

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0


class StatusWriter:
    """Publishes ledgers with `apply`, which raises where the API server does not accept one."""

    def __init__(
        self,
        apply: Callable[[dict[str, Any]], None],
        render: Callable[[Results], dict[str, Any]],
        first_pause: float = _FIRST_PAUSE,
    ) -> None:
        self._apply = apply
        self._render = render
        self._first_pause = first_pause
        self._changed = threading.Condition()
        self._newest: Results | None = None
        self._published: Results | None = None
        self._closed = False
        self._waiting = 0
        self._thread = threading.Thread(target=self._work, name="status", daemon=True)
        self._thread.start()

    def write(self, report: Report) -> None:
        """Let the thread publish the ledger of this report."""
        with self._changed:
            self._newest = report.results
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until the newest ledger is published; return whether it is."""
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            published = self._changed.wait_for(lambda: self._newest is self._published, timeout)
            self._waiting -= 1
            return published

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=1.0)

    def _work(self) -> None:
        pause = self._first_pause
        while (results := self._next()) is not None:
            if self._publish(results):
                pause = self._first_pause
            else:
                self._rest(pause, results)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _next(self) -> Results | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._newest is not self._published)
            return None if self._closed else self._newest

    def _publish(self, results: Results) -> bool:
        try:
            self._apply(self._render(results))
        except Exception as error:
            _log.warning("The results could not be published, trying again: %s", _short(error))
            return False
        with self._changed:
            self._published = results
            self._changed.notify_all()
        return True

    def _rest(self, pause: float, results: Results) -> None:
        """Pause after a failure, less long if there is something newer or somebody waits in flush."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting or self._newest is not results, pause)
            if self._waiting:
                self._changed.wait_for(lambda: self._closed, min(pause, _FIRST_PAUSE))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
