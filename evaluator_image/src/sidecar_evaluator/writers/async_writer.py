"""A sink that may be slow or away for a while, moved into a thread of its own.

`run` wraps the TensorBoard writer: its files may lie on a network file system. Reports wait in a
queue without a bound, since every one must be written and each is small; one that the operating
system refuses is tried again with back-off for as long as the process lives.
"""

import logging
import queue
import threading

from sidecar_evaluator.errors import first_line
from sidecar_evaluator.writers.interface import Report, Writer

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0


class BackgroundWriter:
    """Hands reports to another writer's thread; an OSError of it means that a later attempt may succeed."""

    def __init__(self, writer: Writer, first_pause: float = _FIRST_PAUSE) -> None:
        self._writer = writer
        self._name = type(writer).__name__
        self._first_pause = first_pause
        self._queue: queue.Queue[Report | None] = queue.Queue()
        self._changed = threading.Condition()
        self._unwritten = 0
        self._flushing = 0
        self._closed = self._failed = False
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def write(self, report: Report) -> None:
        """Queue the report."""
        with self._changed:
            self._unwritten += 1
        self._queue.put(report)

    def flush(self, timeout: float) -> bool:
        """Wait until the queue is empty; return whether every report was written."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._unwritten == 0, timeout)
            self._flushing -= 1
            return done and not self._failed

    def close(self) -> None:
        """End the thread once it has written what can be written; do not wait for a stuck one."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._queue.put(None)
        self._thread.join(timeout=1.0)

    def _work(self) -> None:
        while (report := self._queue.get()) is not None:
            self._write(report)
            with self._changed:
                self._unwritten -= 1
                self._changed.notify_all()
        self._close_writer()

    def _write(self, report: Report) -> None:
        failures = 0
        while True:
            try:
                self._writer.write(report)
            except OSError as error:
                failures += 1
                level = logging.WARNING if failures == 1 and not self._closed else logging.DEBUG
                _log.log(level, "%s cannot write, trying again for as long as it takes: %s", self._name, error)
                if self._rest(min(self._first_pause * 2 ** min(failures - 1, 16), _LONGEST_PAUSE)):
                    self._failed = True
                    return
            except Exception:
                self._failed = True
                _log.exception("%s failed; the others go on.", self._name)
                return
            else:
                return

    def _rest(self, pause: float) -> bool:
        """Pause after a failure, less long if somebody waits in flush; return whether the writer was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._flushing, pause)
            if self._flushing:
                self._changed.wait_for(lambda: self._closed, min(pause, _FIRST_PAUSE))
            return self._closed

    def _close_writer(self) -> None:
        try:
            self._writer.close()
        except OSError as error:
            _log.warning("%s could not be closed: %s", self._name, first_line(error))
