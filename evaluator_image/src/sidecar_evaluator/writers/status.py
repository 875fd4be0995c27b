"""The results in the resource's status, from a thread of its own.

Only the newest results matter, so that reports which wait while the API server is slow or away become
one write. With them goes what the evaluator says about itself. At exit `flush` tells whether the last one
has arrived.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sidecar_evaluator.results.evaluator_report import EvaluatorReport, Problem
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
        self._lock = threading.Lock()
        self._newest = Results()
        self._worker: RetryingWorker[Results] = RetryingWorker(
            "The resource's status",
            lambda results: apply(render(results[-1])),
            Batch.NEWEST,
            first_pause=first_pause,
        )

    def introduce(self, evaluator: EvaluatorReport, results: Results) -> None:
        """Publish which evaluator goes on from these results."""
        self._submit(lambda _newest: replace(results, evaluator=evaluator, problem=None))

    def locate(self, directory: str) -> None:
        """Let the next results tell where the checkpoints are."""
        with self._lock:
            if evaluator := self._newest.evaluator:
                self._newest = replace(self._newest, evaluator=replace(evaluator, directory=directory))

    def say(self, problem: Problem | None) -> None:
        """Publish what is in the evaluator's way, None once nothing is."""
        self._submit(lambda newest: replace(newest, problem=problem))

    def write(self, report: Report) -> None:
        """Let the thread publish the results of this report."""
        self._submit(lambda newest: replace(report.results, evaluator=newest.evaluator, problem=newest.problem))

    def flush(self, timeout: float) -> bool:
        """Wait until the newest results are published; return whether they are."""
        return self._worker.flush(timeout)

    def close(self) -> None:
        """End the thread after one more attempt to write what waits."""
        self._worker.close()

    def _submit(self, change: Callable[[Results], Results]) -> None:
        with self._lock:
            self._newest = change(self._newest)
            self._worker.submit(self._newest)
