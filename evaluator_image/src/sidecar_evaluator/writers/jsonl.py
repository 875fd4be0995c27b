"""Every settled checkpoint as a line of `results.jsonl` in the output directory, for good.

`run` tells it once what the journal lacks, the loop then writes reports. A thread of its own does
the writing, since the output may be a slow mount; lines that cannot be written wait in memory, in
order, and are tried again with back-off for as long as the process lives.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from sidecar_evaluator.errors import first_line
from sidecar_evaluator.results.journal import Entry, Record, render_line
from sidecar_evaluator.results.ranking import Primary
from sidecar_evaluator.writers.interface import Report

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0


class JsonLinesWriter:
    """Appends the outcomes of one run with `append`, which raises OSError where lines cannot be written."""

    def __init__(
        self,
        append: Callable[[Sequence[bytes]], None],
        primary: Primary | None = None,
        first_pause: float = _FIRST_PAUSE,
    ) -> None:
        self._append = append
        self._primary = primary
        self._first_pause = first_pause
        self._run = ""
        self._skipped = 0
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._flushing = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="results.jsonl", daemon=True)
        self._thread.start()

    def resume(self, run: str, unwritten: Sequence[Record], skipped: int) -> None:
        """Write what the journal lacks; `skipped` is the ledger's count, from which reports go on."""
        self._run, self._skipped = run, skipped
        self._add([render_line(record, run, self._primary) for record in unwritten])

    def write(self, report: Report) -> None:
        """Queue the outcome's line."""
        if report.outcome is None:
            return
        skipped = report.results.counts.skipped
        entry = Entry(report.outcome, skipped - self._skipped, report.results.watermark)
        self._skipped = skipped
        self._add([render_line(entry, self._run, self._primary)])

    def flush(self, timeout: float) -> bool:
        """Wait until every line is written; return whether it is."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            written = self._changed.wait_for(lambda: not self._lines, timeout)
            self._flushing -= 1
            return written

    def close(self) -> None:
        """End the thread; do not wait for a stuck one."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=1.0)

    def _add(self, lines: Sequence[bytes]) -> None:
        with self._changed:
            self._lines += lines
            self._changed.notify_all()

    def _work(self) -> None:
        failures = 0
        while lines := self._next():
            try:
                self._append(lines)
            except Exception as error:  # lines that stay in memory must not end with the thread
                failures += 1
                self._complain(error, failures)
                self._rest(min(self._first_pause * 2 ** min(failures - 1, 16), _LONGEST_PAUSE))
            else:
                if failures:
                    _log.info("results.jsonl can be written again.")
                failures = 0
                self._drop(len(lines))

    def _next(self) -> list[bytes]:
        """Wait for lines; return none once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._lines)
            return [] if self._closed else list(self._lines)

    def _drop(self, written: int) -> None:
        with self._changed:
            del self._lines[:written]
            self._changed.notify_all()

    def _complain(self, error: Exception, failures: int) -> None:
        level = logging.WARNING if failures == 1 else logging.DEBUG
        _log.log(level, "results.jsonl cannot be written, trying again for as long as it takes: %s", first_line(error))

    def _rest(self, pause: float) -> None:
        """Pause after a failure, less long if somebody waits in flush."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._flushing, pause)
            if self._flushing:
                self._changed.wait_for(lambda: self._closed, min(pause, _FIRST_PAUSE))
