"""A thread that writes what it is given, again and again with back-off until it is written.

Every sink that may be slow or away hands its items to a `RetryingWorker`: the lines of results.jsonl,
the ledgers for the resource's status, the reports for TensorBoard. How a sink retries, flushes and
closes is decided here alone. Items that must all be written wait in memory without a bound: each is
small, and none may be lost.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, TypeVar

from sidecar_evaluator.errors import first_line

_log = logging.getLogger(__name__)

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
_JOIN_SECONDS = 1.0
_CAUSE_LENGTH = 500

Item = TypeVar("Item")


class Batch(Enum):
    """How many of the waiting items one attempt writes."""

    ONE = "the oldest alone"
    ALL = "all of them"
    NEWEST = "the newest, which replaces the others"


class RetryingWorker(Generic[Item]):
    """Writes items with `write` in a thread of its own; `name` is what the log calls the sink.

    An error of `retried` means that a later attempt may succeed; after any other the item is dropped,
    and `flush` returns False from then on. `close` is called by the thread when it ends.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Item]], None],
        batch: Batch = Batch.ALL,
        *,
        retried: type[Exception] = Exception,
        first_pause: float = FIRST_PAUSE,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._write = write
        self._batch = batch
        self._retried = retried
        self._first_pause = first_pause
        self._close = close
        self._changed = threading.Condition()
        self._waiting: list[Item] = []
        self._submitted = self._tried = 0
        self._last_cause = ""
        self._flushing = 0
        self._closed = self._has_lost = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, *items: Item) -> None:
        """Let the thread write these items."""
        with self._changed:
            self._waiting += items
            self._submitted += len(items)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until every item is written, at most `timeout` seconds; return whether they are."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            is_empty = self._changed.wait_for(lambda: not self._waiting, timeout)
            self._flushing -= 1
            return is_empty and not self._has_lost

    def close(self) -> None:
        """End the thread once it has tried what still waits; do not wait for a stuck one."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        failures = 0
        while items := self._next():
            error = self._attempt(items)
            if error is None:
                if failures:
                    _log.info("%s can be written again.", self._name)
                failures = 0
            else:
                failures += 1
                self._log_failure(error, failures)
                self._pause(failures)
        self._close_sink()

    def _next(self) -> Sequence[Item]:
        """Wait for items; return those of the next attempt, none once closed with nothing left."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._batch is Batch.NEWEST:
                del self._waiting[:-1]
            self._tried = self._submitted
            return self._waiting[:1] if self._batch is Batch.ONE else self._waiting[:]

    def _attempt(self, items: Sequence[Item]) -> Exception | None:
        """Write the items and take them off the waiting ones; return the error after which they stay."""
        try:
            self._write(items)
        except self._retried as error:
            if not self._closed:
                return error
            _log.warning("%s could not be written before the end: %s", self._name, first_line(error))
            self._drop(len(items), is_lost=True)
        except Exception:
            _log.exception("%s failed; the others go on.", self._name)
            self._drop(len(items), is_lost=True)
        else:
            self._drop(len(items))
        return None

    def _drop(self, count: int, *, is_lost: bool = False) -> None:
        with self._changed:
            del self._waiting[:count]
            self._has_lost = self._has_lost or is_lost
            self._changed.notify_all()

    def _log_failure(self, error: Exception, failures: int) -> None:
        """Warn of the first failure and of each new cause, not of one cause again and again."""
        cause = " ".join(str(error).split())[:_CAUSE_LENGTH]
        level = logging.DEBUG if failures > 1 and cause == self._last_cause else logging.WARNING
        self._last_cause = cause
        _log.log(level, "%s cannot be written, trying again until it can: %s", self._name, cause)

    def _pause(self, failures: int) -> None:
        """Pause after a failure, less long while `flush` waits, or where something newer replaces what failed."""
        seconds = min(self._first_pause * 2 ** min(failures - 1, 16), LONGEST_PAUSE)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._flushing or self._is_replaced(), seconds)
            if self._flushing:
                self._changed.wait_for(lambda: self._closed, min(seconds, FIRST_PAUSE))

    def _is_replaced(self) -> bool:
        return self._batch is Batch.NEWEST and self._submitted > self._tried

    def _close_sink(self) -> None:
        try:
            self._close()
        except OSError as error:
            _log.warning("%s could not be closed: %s", self._name, first_line(error))
