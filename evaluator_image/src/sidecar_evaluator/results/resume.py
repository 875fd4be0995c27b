"""What a restart goes on from: the status and the journal of earlier processes, united.

`run` calls `resume_from` before anything is evaluated. Status and journal are written separately, so
that after a crash either may hold outcomes that the other lacks. The journal names every settled
checkpoint; the status alone has a bounded history and the watermark. Only the journal is read here.
"""

import logging
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, replace

from sidecar_evaluator.errors import ConfigurationError, require_storage
from sidecar_evaluator.results.evaluator_report import BeganAnew, BeginningReason
from sidecar_evaluator.results.jsonl_records import Earlier, Entry, Record, read
from sidecar_evaluator.results.ledger import Counts, Results, Rules, counted, oldest_first, rank, remembered
from sidecar_evaluator.results.outcome import Outcome
from sidecar_evaluator.results.ranking import Primary, better
from sidecar_evaluator.results.settled import SettledCheckpoints, highest
from sidecar_evaluator.storage.append_log import AppendLog

_log = logging.getLogger(__name__)

_SHOWN = len("sha256:") + 12
"""Characters of a digest that tell it from others for a reader."""


@dataclass(frozen=True)
class Resumed:
    """The results to go on from, the checkpoints that are settled, and what the journal still lacks."""

    results: Results
    settled: SettledCheckpoints
    unwritten: tuple[Record, ...] = ()


def resume(
    status: Results, records: Iterable[Record] | None, rules: Rules, retry_failed_before: float | None = None
) -> Resumed:
    """Unite the status with the journal's records, None where there is no journal.

    Counts are exact as long as one of the two has seen everything; best is the best of all outcomes that
    either holds, by today's rules. What failed before `retry_failed_before` is not settled.
    """
    if records is None:
        return _resume_status(status, rules, SettledCheckpoints(retry_failed_before=retry_failed_before))
    union = _Union(rules, SettledCheckpoints(retry_failed_before=retry_failed_before))
    for record in records:
        union.add(record)
    unwritten = union.lacking(status)
    for record in unwritten:
        union.add(record)
    return Resumed(union.results(status), union.settled, unwritten)


def _resume_status(status: Results, rules: Rules, settled: SettledCheckpoints) -> Resumed:
    outcomes = oldest_first(status)
    for outcome in outcomes:
        settled.restore(outcome)
    settled.restore_watermark(status.watermark, status.written_until, status.watermark_numbers)
    settled.started_again = status.started_again
    return Resumed(replace(status, best=_best(status, outcomes, rules.primary), ended=None), settled)


def without_other_code(status: Results, code_digest: str, now: float) -> Results:
    """Return the results that count for this code: all, or none where any of them was made by other code."""
    digests = {outcome.provenance.code_digest for outcome in remembered(status)}
    earlier_digests = sorted(digests - {code_digest, ""})
    if not earlier_digests:
        return status
    message = (
        f"the code changed from {earlier_digests[0][:_SHOWN]} to {code_digest[:_SHOWN]}: the results so far were "
        "laid aside, and the checkpoints that still exist are evaluated again"
    )
    _log.warning("Results begin anew: %s.", message)
    return Results(began_anew=BeganAnew(BeginningReason.CODE_CHANGED, message, now))


def resume_from(
    files: AppendLog | None, run: str, status: Results, rules: Rules, retry_failed_before: float | None = None
) -> Resumed:
    """Resume from the journal in these files and the status, from the status alone where that must do.

    Raises StorageGoneError: the journal's mount has died.
    ConfigurationError: the journal may not be read, and there is no status to go on from.
    OSError: it cannot be read for another reason, and there is no status to go on from.
    """
    if files is None:
        return resume(status, None, rules, retry_failed_before)
    try:
        return resume(status, read(files, run), rules, retry_failed_before)
    except OSError as error:
        place = files.directory / files.name
        require_storage(error, f"The mount of {files.directory}")
        if status.counts != Counts():
            _log.warning("%s cannot be read, going on from the status: %s", place, error)
            return resume(status, None, rules, retry_failed_before)
        if isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError):
            raise ConfigurationError(f"The results so far, {place}, cannot be read: {error.strerror}.") from error
        raise


@dataclass
class _Union:
    """What records tell, gathered one by one so that few of them are in memory."""

    rules: Rules
    settled: SettledCheckpoints = field(default_factory=SettledCheckpoints)
    ranked: Results = field(default_factory=Results)
    counts: Counts = field(default_factory=Counts)
    watermark: int | None = None
    watermark_numbers: str | None = None
    written_until: float | None = None

    def add(self, record: Record) -> None:
        """Take note of a record; of two about one checkpoint the first counts, unless it was a failure."""
        self.watermark = highest(self.watermark, record.watermark)
        self.watermark_numbers = record.watermark_numbers
        self.written_until = latest_of(self.written_until, record.written_until)
        self.settled.raise_highest(record.watermark)
        if isinstance(record, Earlier):
            self.counts = _sum(self.counts, record.counts)
            self.settled.restore_watermark(record.watermark, record.written_until, record.watermark_numbers)
            return
        is_retry = self.settled.replaces_failed(record.outcome)
        if self.settled.restore(record.outcome):
            self.counts = counted(self.counts, record.outcome.kind, record.skipped, is_retry=is_retry)
            self._note(record.outcome)

    def lacking(self, status: Results) -> tuple[Record, ...]:
        """Return what only the status holds, as records; what it has forgotten itself is only counted."""
        # A NaN makes one outcome two.
        outcomes = {(outcome.id, outcome.id.written_us): outcome for outcome in oldest_first(status)}
        entries = [Entry(outcome) for outcome in outcomes.values() if not self.settled.holds(outcome)]
        counts = self.counts
        for entry in entries:
            counts = counted(counts, entry.outcome.kind, is_retry=self.settled.replaces_failed(entry.outcome))
        uncounted = _excess(status.counts, counts)
        marks = (status.watermark, status.written_until, status.watermark_numbers)
        if entries:  # for which of them the others were passed over is forgotten
            entries[-1] = Entry(entries[-1].outcome, uncounted.skipped, *marks)
            uncounted = replace(uncounted, skipped=0)
        if uncounted == Counts():
            return tuple(entries)
        if replace(uncounted, skipped=0) == Counts():
            return (Earlier(uncounted), *entries)
        return (Earlier(uncounted, *marks), *entries)

    def results(self, status: Results) -> Results:
        """Return the results to go on from."""
        return replace(
            self.ranked,
            counts=self.counts,
            backlog=status.backlog,
            began_anew=status.began_anew,
            watermark=highest(self.watermark, status.watermark),
            watermark_numbers=self.watermark_numbers,
            written_until=latest_of(self.written_until, status.written_until),
        )

    def _note(self, outcome: Outcome) -> None:
        history = (outcome, *self.ranked.history)[: self.rules.history_limit]
        self.ranked = replace(rank(self.ranked, outcome, self.rules), history=history)


def _best(status: Results, outcomes: Iterable[Outcome], primary: Primary | None) -> Outcome | None:
    best, began = None, status.started_again
    for outcome in outcomes:
        if began and outcome.id.is_superseded_by(began):
            continue
        best = outcome if better(outcome, best, primary) else best
    return best


def latest_of(one: float | None, other: float | None) -> float | None:
    """Return the later of two times, of which either may be missing."""
    return max((moment for moment in (one, other) if moment is not None), default=None)


def _sum(one: Counts, other: Counts) -> Counts:
    return Counts(*(a + b for a, b in zip(astuple(one), astuple(other), strict=True)))


def _excess(one: Counts, other: Counts) -> Counts:
    """Return what the first counts beyond the other."""
    return Counts(*(max(a - b, 0) for a, b in zip(astuple(one), astuple(other), strict=True)))
