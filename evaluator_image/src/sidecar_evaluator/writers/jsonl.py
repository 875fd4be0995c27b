"""Every settled checkpoint as a line of `results.jsonl` in the output directory, for good.

`run` tells it once what the journal lacks, the loop then writes reports. The lines are written from a
thread, since the output may be a slow mount, and in order.
"""

from collections.abc import Callable, Sequence

from sidecar_evaluator.results.jsonl_records import Entry, Record, render_line
from sidecar_evaluator.results.ranking import Primary
from sidecar_evaluator.writers.interface import Report
from sidecar_evaluator.writers.retrying_worker import FIRST_PAUSE, Batch, RetryingWorker


class JsonLinesWriter:
    """Appends the outcomes of one run with `append`, which raises where lines cannot be written."""

    def __init__(
        self,
        append: Callable[[Sequence[bytes]], None],
        primary: Primary | None = None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._primary = primary
        self._run = ""
        self._skipped = 0
        self._worker: RetryingWorker[bytes] = RetryingWorker(
            "results.jsonl", append, Batch.ALL, first_pause=first_pause
        )

    def resume(self, run: str, unwritten: Sequence[Record], skipped: int) -> None:
        """Write what the journal lacks; `skipped` is the count in the results, from which reports go on."""
        self._run, self._skipped = run, skipped
        self._worker.submit(*(render_line(record, run, self._primary) for record in unwritten))

    def write(self, report: Report) -> None:
        """Queue the outcome's line."""
        if report.outcome is None:
            return
        skipped = report.results.counts.skipped
        results = report.results
        marks = (results.watermark, results.written_until, results.watermark_numbers)
        entry = Entry(report.outcome, skipped - self._skipped, *marks)
        self._skipped = skipped
        self._worker.submit(render_line(entry, self._run, self._primary))

    def flush(self, timeout: float) -> bool:
        """Wait until every line is written; return whether they are."""
        return self._worker.flush(timeout)

    def close(self) -> None:
        """End the thread after one more attempt to write what waits; do not wait for a stuck one."""
        self._worker.close()
