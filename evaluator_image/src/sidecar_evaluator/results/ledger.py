"""The results so far: a `Results` value and the steps from one to the next. Pure.

The loop keeps the newest value and every writer reads it; after a restart `resume` reads it back. The
watermark is the highest number up to which every checkpoint written until a time is settled, for a
restart that has only the bounded history; which checkpoint is settled is decided by `settled`, never here.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sidecar_evaluator.checkpoints.identity import CheckpointId
from sidecar_evaluator.checkpoints.name_numbers import place_of
from sidecar_evaluator.results.evaluator_report import BeganAnew, EvaluatorReport, Problem
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind
from sidecar_evaluator.results.ranking import Primary, better
from sidecar_evaluator.results.settled import first_of
from sidecar_evaluator.results.training_order import precedes

_MARK_LENGTH = 64
"""Characters of the watermark of several numbers that the resource's schema takes; there is none for longer names."""


class EndReason(StrEnum):
    """Why the evaluator ended by itself."""

    TRAINING_FINISHED = "TrainingFinished"
    MAX_EVALUATIONS = "MaxEvaluations"
    NO_CHECKPOINT_TIMEOUT = "NoCheckpointTimeout"


@dataclass(frozen=True)
class Counts:
    """Settled checkpoints by what became of them."""

    evaluated: int = 0
    skipped: int = 0
    failed: int = 0
    gone: int = 0


@dataclass(frozen=True)
class Ended:
    """The drained end of a run; `at` in seconds since the epoch."""

    reason: EndReason
    at: float


@dataclass(frozen=True)
class Results:
    """Everything that outlives the process; history is newest first.

    `watermark_numbers` is the watermark of names with several numbers, `written_until` belongs to both. `started_again`
    is the checkpoint at which training has gone back and begun to write used names again: latest and best are of what
    it has written since, and of what came before it.
    `evaluator` and `problem` are what the evaluator says about itself; the status writer adds them. `began_anew`
    tells why results of before were laid aside.
    """

    latest: Outcome | None = None
    best: Outcome | None = None
    history: tuple[Outcome, ...] = ()
    counts: Counts = field(default_factory=Counts)
    backlog: int = 0
    watermark: int | None = None
    watermark_numbers: str | None = None
    written_until: float | None = None
    started_again: CheckpointId | None = None
    ended: Ended | None = None
    evaluator: EvaluatorReport | None = None
    problem: Problem | None = None
    began_anew: BeganAnew | None = None


@dataclass(frozen=True)
class Rules:
    """What the user decided about keeping results."""

    primary: Primary | None = None
    history_limit: int = 10


def settle(
    results: Results,
    outcome: Outcome,
    rules: Rules,
    *,
    skipped: int = 0,
    pending: Collection[int] = (),
    pending_name: str | None = None,
    pending_since: float | None = None,
    is_retry: bool = False,
) -> Results:
    """Add one outcome, and the number of checkpoints that were passed over for it; a retry replaces a failure.

    `pending` are the numbers of checkpoints that are still to be settled, `pending_name` the first name with
    several, `pending_since` is when the oldest of them was written; the watermarks stay below them as long as the
    history remembers what was settled above.
    """
    history = (outcome, *results.history)
    kept = history[: rules.history_limit]
    ranked = rank(results, outcome, rules)
    return replace(
        ranked,
        history=kept,
        counts=counted(results.counts, outcome.kind, skipped, is_retry=is_retry),
        watermark=_watermark(results, history, len(kept), pending),
        watermark_numbers=_watermark_numbers(results, history, pending_name),
        written_until=_written_until(results, history, len(kept), pending_since),
    )


def rank(results: Results, outcome: Outcome, rules: Rules) -> Results:
    """Return the results with latest and best as they are after an outcome; history and counts stay."""
    if outcome.is_written_again:
        results = _start_again(results, outcome, rules)
    elif results.started_again and outcome.id.is_superseded_by(results.started_again):
        return results  # left over from the course that training has left
    best = outcome if better(outcome, results.best, rules.primary) else results.best
    return replace(results, latest=later(results.latest, outcome), best=best)


def _start_again(results: Results, outcome: Outcome, rules: Rules) -> Results:
    """Take away from latest and best what training has gone back behind; the history keeps it."""
    began = outcome.id
    started_again = first_of(results.started_again, began)
    latest = best = None
    for earlier in oldest_first(results):
        if earlier.id.is_superseded_by(began):
            continue
        latest = later(latest, earlier)
        best = earlier if better(earlier, best, rules.primary) else best
    return replace(results, latest=latest, best=best, started_again=started_again)


def remembered(results: Results) -> Iterable[Outcome]:
    """Return every outcome that the results hold, each once."""
    beside_history = (outcome for outcome in (results.latest, results.best) if outcome)
    return (*results.history, *(outcome for outcome in beside_history if outcome not in results.history))


def oldest_first(results: Results) -> list[Outcome]:
    """Return every outcome that the results hold, in the order in which they were settled."""
    outcomes = [*remembered(results)]
    outcomes.reverse()  # so that those of one moment keep their order
    outcomes.sort(key=lambda outcome: outcome.evaluated_at)
    return outcomes


def later(latest: Outcome | None, outcome: Outcome) -> Outcome | None:
    """Return the evaluated one of two that stands for the training's newest state."""
    if outcome.kind is not OutcomeKind.EVALUATED:
        return latest
    return latest if latest and precedes(outcome, latest) else outcome


def counted(counts: Counts, kind: OutcomeKind, skipped: int = 0, *, is_retry: bool = False) -> Counts:
    """Add one outcome and the checkpoints that were passed over for it; a retry is no longer counted as failed."""
    counts = replace(counts, failed=max(counts.failed - is_retry, 0))
    return replace(counts, skipped=counts.skipped + skipped, **{kind.value: getattr(counts, kind.value) + 1})


def _written_until(
    results: Results, history: tuple[Outcome, ...], kept: int, pending_since: float | None
) -> float | None:
    """Return until when nothing was written that is pending, or the newest time that history forgot."""
    times = [outcome.modified_at for outcome in history if outcome.modified_at]
    settled = [written_at for written_at in times if pending_since is None or written_at < pending_since]
    forgotten = [outcome.modified_at for outcome in history[kept:] if outcome.modified_at]
    marks = [*settled, *forgotten, *([] if results.written_until is None else [results.written_until])]
    return max(marks, default=None)


def _watermark(results: Results, history: tuple[Outcome, ...], kept: int, pending: Collection[int]) -> int | None:
    """Return the highest number with nothing pending at or below it, or that history forgot."""
    lowest_pending = min(pending, default=None)
    numbers = [outcome.id.numbers[0] for outcome in history if len(outcome.id.numbers) == 1]
    settled = [number for number in numbers if lowest_pending is None or number < lowest_pending]
    forgotten = [outcome.id.numbers[0] for outcome in history[kept:] if len(outcome.id.numbers) == 1]
    marks = [*settled, *forgotten, *([] if results.watermark is None else [results.watermark])]
    return max(marks, default=None)


def _watermark_numbers(results: Results, history: tuple[Outcome, ...], first_pending: str | None) -> str | None:
    """Return, of names with several numbers, those of the last with nothing pending at or before it.

    It falls where something comes late: names may contradict times, and a second evaluation is better than none.
    """
    several = (outcome.id.numbers for outcome in history if outcome.id.has_several_numbers)
    marks = [*("-".join(map(str, numbers)) for numbers in several), results.watermark_numbers or ""]
    if first_pending is not None:
        marks = [mark for mark in marks if place_of(mark) < place_of(first_pending)]
    return max((mark for mark in marks if 0 < len(mark) <= _MARK_LENGTH), key=place_of, default=None)
