"""What has been settled so far: a `Results` value and the steps from one to the next. Pure.

The loop keeps the newest value, the status writer renders it, and after a restart it is read back
and the loop goes on from it: nothing is evaluated twice, nothing is left out. Numbered checkpoints
at or below the watermark are settled; above it, those that the history names are. Where there is a
journal, it knows more: see there.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind
from sidecar_evaluator.results.ranking import Primary, better

_TIME_ROUNDING = 1e-6  # seconds; the status keeps microseconds


class EndReason(StrEnum):
    """Why the evaluator stopped although nobody stopped it."""

    TRAINING_FINISHED = "TrainingFinished"
    MAX_EVALUATIONS = "MaxEvaluations"
    NO_CHECKPOINT_TIMEOUT = "NoCheckpointTimeout"


class Selection(StrEnum):
    """Which finished checkpoints are evaluated."""

    LATEST = "Latest"
    EVERY = "Every"


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


def is_settled(results: Results, checkpoint: Checkpoint, selection: Selection) -> bool:
    """Tell whether results read back from an earlier process already cover the checkpoint."""
    if checkpoint.number is not None:
        below = results.watermark is not None and checkpoint.number <= results.watermark
        return below or any(known.checkpoint == checkpoint.name for known in results.history)
    covering = (
        known.modified_at or known.started_at
        for known in remembered(results)
        if known.number is None and (known.checkpoint == checkpoint.name or passes_over(known, selection))
    )
    return checkpoint.modified_at <= max(covering, default=float("-inf")) + _TIME_ROUNDING


def passes_over(outcome: Outcome, selection: Selection) -> bool:
    """Tell whether older checkpoints are not evaluated any more once this outcome is known."""
    return selection is Selection.LATEST and outcome.kind is OutcomeKind.EVALUATED


def highest_number(results: Results) -> int | None:
    """Return the highest number that is settled."""
    numbers = [known.number for known in remembered(results) if known.number is not None]
    return max([*numbers, *([] if results.watermark is None else [results.watermark])], default=None)


def remembered(results: Results) -> Iterable[Outcome]:
    """Return every outcome that is still known."""
    extra = (known for known in (results.latest, results.best) if known and known not in results.history)
    return (*results.history, *extra)


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
    numbers = [known.number for known in history if known.number is not None]
    settled = [number for number in numbers if lowest_pending is None or number < lowest_pending]
    forgotten = [known.number for known in history[kept:] if known.number is not None]
    marks = [*settled, *forgotten, *([] if results.watermark is None else [results.watermark])]
    return max(marks, default=None)
