"""A sink that may be slow or away for a while, moved into a thread of its own.

`commands.writer_setup` wraps the TensorBoard writer: its files may lie on a network file system. Every report
is written, in order; one that the operating system refuses is tried again for as long as the process
lives.
"""

from sidecar_evaluator.writers.interface import Report, Writer
from sidecar_evaluator.writers.retrying_worker import FIRST_PAUSE, Batch, RetryingWorker


class AsyncWriter:
    """Hands reports to another writer's thread; an OSError of it means that a later attempt may succeed."""

    def __init__(self, writer: Writer, first_pause: float = FIRST_PAUSE) -> None:
        self._worker: RetryingWorker[Report] = RetryingWorker(
            type(writer).__name__,
            lambda reports: writer.write(reports[0]),
            Batch.ONE,
            retried=OSError,
            first_pause=first_pause,
            close=writer.close,
        )

    def write(self, report: Report) -> None:
        """Queue the report."""
        self._worker.submit(report)

    def flush(self, timeout: float) -> bool:
        """Wait until every report is written; return whether they are."""
        return self._worker.flush(timeout)

    def close(self) -> None:
        """End the thread once it has written what can be written; do not wait for a stuck one."""
        self._worker.close()
