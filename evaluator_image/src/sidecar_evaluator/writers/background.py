"""A sink that may be slow, moved into a thread of its own.

`run` wraps the TensorBoard writer: its files may lie on a network file system. Reports wait in a
queue without a bound, since every one must be written and each is small.
"""

import logging
import queue
import threading

from sidecar_evaluator.writers.interface import Report, Writer

_log = logging.getLogger(__name__)


class BackgroundWriter:
    """Hands reports to another writer's thread."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._queue: queue.Queue[Report | None] = queue.Queue()
        self._idle = threading.Condition()
        self._unwritten = 0
        self._failed = False
        self._thread = threading.Thread(target=self._work, name=type(writer).__name__, daemon=True)
        self._thread.start()

    def write(self, report: Report) -> None:
        """Queue the report."""
        with self._idle:
            self._unwritten += 1
        self._queue.put(report)

    def flush(self, timeout: float) -> bool:
        """Wait until the queue is empty; return whether every report was written."""
        with self._idle:
            done = self._idle.wait_for(lambda: self._unwritten == 0, timeout)
            return done and not self._failed

    def close(self) -> None:
        """End the thread once it has written what is queued; do not wait for a stuck one."""
        self._queue.put(None)
        self._thread.join(timeout=1.0)

    def _work(self) -> None:
        while (report := self._queue.get()) is not None:
            self._write(report)
            with self._idle:
                self._unwritten -= 1
                self._idle.notify_all()
        self._writer.close()

    def _write(self, report: Report) -> None:
        try:
            self._writer.write(report)
        except Exception:
            self._failed = True
            _log.exception("%s failed; the others go on.", type(self._writer).__name__)
