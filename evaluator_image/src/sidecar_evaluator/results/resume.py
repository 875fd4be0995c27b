"""What a restart goes on from: the status and the journal of earlier processes, united. Pure but for reading.

`run` calls `resume_from` before anything is evaluated. Status and journal are written apart, so
after a crash either may know outcomes that the other lacks. The journal knows every settled
checkpoint by name, where the status alone has its bounded history and the watermark.
"""

import logging
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, replace

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.errors import ConfigurationError, StorageGoneError, is_storage_gone
from sidecar_evaluator.results.journal import Earlier, Entry, Record, read
from sidecar_evaluator.results.ledger import (
    Counts,
    Results,
    Rules,
    Selection,
    counted,
    highest_number,
    is_settled,
    later,
    remembered,
)
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind
from sidecar_evaluator.results.ranking import Primary, better
from sidecar_evaluator.results.serialization import render_time
from sidecar_evaluator.storage.append_log import LineFiles

_log = logging.getLogger(__name__)

Key = str | tuple[str, str]


@dataclass(frozen=True)
class Resumed:
    """The ledger to go on from, what the journal still lacks of it, and the highest number settled."""

    results: Results
    unwritten: tuple[Record, ...] = ()
    highest: int | None = None
    known: "Known | None" = None

    def covers(self, checkpoint: Checkpoint, selection: Selection) -> bool:
        """Tell whether an earlier process has settled the checkpoint."""
        if self.known is None:
            return is_settled(self.results, checkpoint, selection)
        return self.known.covers(checkpoint, selection)


def resume(status: Results, records: Iterable[Record] | None, rules: Rules) -> Resumed:
    """Unite the status with the journal's records, None where there is no journal.

    Counts are exact as long as one of the two has seen everything; best is the best of all that is
    known, by today's rules.
    """
    if records is None:
        best = _best(_oldest_first(status), rules.primary)
        results = replace(status, best=best, ended=None)
        return Resumed(results, highest=highest_number(results))
    known = Known(rules)
    for record in records:
        known.add(record)
    unwritten = known.lacks(status)
    for record in unwritten:
        known.add(record)
    return Resumed(known.results(status), unwritten, known.highest, known)


def resume_from(files: LineFiles | None, run: str, status: Results, rules: Rules) -> Resumed:
    """Resume from the journal in these files and the status, from the status alone where that must do.

    Raises StorageGoneError: the journal's mount has died.
    ConfigurationError: the journal may not be read, and there is no status to go on from.
    OSError: it cannot be read for another reason, and there is no status to go on from.
    """
    if files is None:
        return resume(status, None, rules)
    try:
        return resume(status, read(files, run), rules)
    except OSError as error:
        place = files.directory / files.name
        if is_storage_gone(error):
            raise StorageGoneError(error.errno, f"The mount of {files.directory} has died: {error}") from error
        if status.counts != Counts():
            _log.warning("%s cannot be read, going on from the status: %s", place, error)
            return resume(status, None, rules)
        if isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError):
            raise ConfigurationError(f"The results so far, {place}, cannot be read: {error.strerror}.") from error
        raise


@dataclass
class Known:
    """What records tell, gathered one by one so that few of them are in memory."""

    rules: Rules
    counts: Counts = field(default_factory=Counts)
    latest: Outcome | None = None
    best: Outcome | None = None
    history: tuple[Outcome, ...] = ()
    watermark: int | None = None
    highest: int | None = None
    _keys: set[Key] = field(default_factory=set)
    _without_line: int | None = None  # the highest number that is settled although no line may name it
    _passed_number: int | None = None
    _passed_time: str = ""

    def add(self, record: Record) -> None:
        """Take note of a record; of two about one checkpoint the first counts."""
        self.watermark = _highest(self.watermark, record.watermark)
        self.highest = _highest(self.highest, record.watermark)
        if isinstance(record, Earlier):
            self.counts = _sum(self.counts, record.counts)
            self._without_line = _highest(self._without_line, record.watermark)
        elif (key := _key(record.outcome)) not in self._keys:
            self._keys.add(key)
            self.counts = counted(self.counts, record.outcome.kind, record.skipped)
            self._note(record.outcome)

    def covers(self, checkpoint: Checkpoint, selection: Selection) -> bool:
        """Tell whether the checkpoint is settled: by its name, without a line, or passed over."""
        key = _key(checkpoint)
        if key in self._keys:
            return True
        if isinstance(key, str):
            passed = self._passed_number if selection is Selection.LATEST else None
            limit = _highest(self._without_line, passed)
            return limit is not None and checkpoint.number is not None and checkpoint.number <= limit
        return selection is Selection.LATEST and key[1] <= self._passed_time

    def lacks(self, status: Results) -> tuple[Record, ...]:
        """Return what only the status knows, as records; what it has forgotten itself is only counted."""
        named = {_key(outcome): outcome for outcome in _oldest_first(status)}  # a NaN makes one outcome two
        entries = [Entry(outcome) for key, outcome in named.items() if key not in self._keys]
        counts = self.counts
        for entry in entries:
            counts = counted(counts, entry.outcome.kind)
        lacking = _excess(status.counts, counts)
        if entries:  # for which of them the others were passed over is forgotten
            entries[-1] = Entry(entries[-1].outcome, lacking.skipped, status.watermark)
            lacking = replace(lacking, skipped=0)
        if lacking == Counts():
            return tuple(entries)
        has_nameless = replace(lacking, skipped=0) != Counts()
        return (Earlier(lacking, status.watermark if has_nameless else None), *entries)

    def results(self, status: Results) -> Results:
        """Return the ledger."""
        return Results(
            latest=self.latest,
            best=self.best,
            history=self.history,
            counts=self.counts,
            backlog=status.backlog,
            watermark=_highest(self.watermark, status.watermark),
        )

    def _note(self, outcome: Outcome) -> None:
        self.latest = later(self.latest, outcome)
        self.best = outcome if better(outcome, self.best, self.rules.primary) else self.best
        self.history = (outcome, *self.history)[: self.rules.history_limit]
        self.highest = _highest(self.highest, outcome.number)
        if outcome.kind is not OutcomeKind.EVALUATED:
            return
        if outcome.number is None:
            self._passed_time = max(self._passed_time, render_time(outcome.modified_at))
        else:
            self._passed_number = _highest(self._passed_number, outcome.number)


def _key(one: Outcome | Checkpoint) -> Key:
    """Return what tells checkpoints apart: the name, without a number also when it was written."""
    name = one.checkpoint if isinstance(one, Outcome) else one.name
    return name if one.number is not None else (name, render_time(one.modified_at))


def _best(outcomes: Iterable[Outcome], primary: Primary | None) -> Outcome | None:
    best = None
    for outcome in outcomes:
        best = outcome if better(outcome, best, primary) else best
    return best


def _oldest_first(results: Results) -> list[Outcome]:
    outcomes = [*remembered(results)]
    outcomes.reverse()  # so that those of one moment keep the order in which they were settled
    outcomes.sort(key=lambda outcome: outcome.evaluated_at)
    return outcomes


def _highest(one: int | None, other: int | None) -> int | None:
    return max((number for number in (one, other) if number is not None), default=None)


def _sum(one: Counts, other: Counts) -> Counts:
    return Counts(*(a + b for a, b in zip(astuple(one), astuple(other), strict=True)))


def _excess(one: Counts, other: Counts) -> Counts:
    """Return what the first counts beyond the other."""
    return Counts(*(max(a - b, 0) for a, b in zip(astuple(one), astuple(other), strict=True)))
