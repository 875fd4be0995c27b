"""The results in the resource's status, from a thread of its own.

Only the newest results matter, so that reports which wait while the API server is slow or away become
one write. At exit `flush` tells whether the last one has arrived.
"""

from collections.abc import Callable
from typing import Any

from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.writers.interface import Report
from sidecar_evaluator.writers.retrying_worker import FIRST_PAUSE, Batch, RetryingWorker


class StatusWriter:
    """Publishes results with `apply`, which raises where the API server does not accept them."""

    def __init__(
        self,
        apply: Callable[[dict[str, Any]], None],
        render: Callable[[Results], dict[str, Any]],
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._worker: RetryingWorker[Results] = RetryingWorker(
            "The resource's status",
            lambda results: apply(render(results[-1])),
            Batch.NEWEST,
            first_pause=first_pause,
        )

    def write(self, report: Report) -> None:
        """Let the thread publish the results of this report."""
        self._worker.submit(report.results)

    def flush(self, timeout: float) -> bool:
        """Wait until the newest results are published; return whether they are."""
        return self._worker.flush(timeout)

    def close(self) -> None:
        """End the thread after one more attempt to write what waits."""
        self._worker.close()
