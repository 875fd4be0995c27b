"""The results so far: a `Results` value and the steps from one to the next. Pure.

The loop keeps the newest value and every writer reads it; after a restart `resume` reads it back. The
watermark is the highest number up to which every checkpoint is settled, for a restart that has only
the bounded history; which checkpoint is settled is decided by `settled`, never here.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sidecar_evaluator.results.outcome import Outcome, OutcomeKind
from sidecar_evaluator.results.ranking import Primary, better


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
    """Everything that outlives the process; history is newest first."""

    latest: Outcome | None = None
    best: Outcome | None = None
    history: tuple[Outcome, ...] = ()
    counts: Counts = field(default_factory=Counts)
    backlog: int = 0
    watermark: int | None = None
    ended: Ended | None = None


@dataclass(frozen=True)
class Rules:
    """What the user decided about keeping results."""

    primary: Primary | None = None
    history_limit: int = 10


def settle(
    results: Results, outcome: Outcome, rules: Rules, *, skipped: int = 0, pending: Collection[int] = ()
) -> Results:
    """Add one outcome, and the number of checkpoints that were passed over for it.

    `pending` are the numbers of checkpoints that are still to be settled; the watermark stays below
    them as long as the history remembers what was settled above it.
    """
    history = (outcome, *results.history)
    kept = history[: rules.history_limit]
    return replace(
        results,
        latest=later(results.latest, outcome),
        best=outcome if better(outcome, results.best, rules.primary) else results.best,
        history=kept,
        counts=counted(results.counts, outcome.kind, skipped),
        watermark=_watermark(results, history, len(kept), pending),
    )


def remembered(results: Results) -> Iterable[Outcome]:
    """Return every outcome that the results hold, each once."""
    beside_history = (outcome for outcome in (results.latest, results.best) if outcome)
    return (*results.history, *(outcome for outcome in beside_history if outcome not in results.history))


def later(latest: Outcome | None, outcome: Outcome) -> Outcome | None:
    """Return the evaluated one of two that stands for the training's newest state."""
    if outcome.kind is not OutcomeKind.EVALUATED:
        return latest
    numbers = (latest.number if latest else None, outcome.number)
    late_arrival = numbers[0] is not None and numbers[1] is not None and numbers[1] < numbers[0]
    return latest if late_arrival else outcome


def counted(counts: Counts, kind: OutcomeKind, skipped: int = 0) -> Counts:
    """Add one outcome and the checkpoints that were passed over for it."""
    return replace(counts, skipped=counts.skipped + skipped, **{kind.value: getattr(counts, kind.value) + 1})


def _watermark(results: Results, history: tuple[Outcome, ...], kept: int, pending: Collection[int]) -> int | None:
    """Return the highest number with nothing pending at or below it, or that history forgot."""
    lowest_pending = min(pending, default=None)
    numbers = [outcome.number for outcome in history if outcome.number is not None]
    settled = [number for number in numbers if lowest_pending is None or number < lowest_pending]
    forgotten = [outcome.number for outcome in history[kept:] if outcome.number is not None]
    marks = [*settled, *forgotten, *([] if results.watermark is None else [results.watermark])]
    return max(marks, default=None)
