"""What became of one checkpoint: plain values that the loop makes and every writer reads.

`skipped` is no outcome of its own: a skipped checkpoint is only counted. Times are seconds since
the epoch, durations are seconds.
"""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_DATASET = "default"
NO_SCORES = "There is no score: the data holds no batch, or the model returned no metrics."


class OutcomeKind(StrEnum):
    """The ways in which a selected checkpoint is settled."""

    EVALUATED = "evaluated"
    FAILED = "failed"
    GONE = "gone"


class Reason(StrEnum):
    """Why a checkpoint failed."""

    UNREADABLE = "Unreadable"
    INCOMPATIBLE = "Incompatible"
    ITERATIONS_MISSING = "IterationsMissing"
    EVALUATION_ERROR = "EvaluationError"
    TIMED_OUT = "TimedOut"
    NO_METRICS = "NoMetrics"


@dataclass(frozen=True)
class Score:
    """One metric's value on one dataset; NaN and infinities are values."""

    name: str
    value: float
    dataset: str = DEFAULT_DATASET


@dataclass(frozen=True)
class Outcome:
    """A settled checkpoint.

    `step` is the number of training iterations, None where neither file nor name holds it;
    `number` is the one in the checkpoint's name.
    """

    checkpoint: str
    kind: OutcomeKind
    number: int | None
    started_at: float
    evaluated_at: float
    duration: float = 0.0
    step: int | None = None
    scores: tuple[Score, ...] = ()
    reason: Reason | None = None
    message: str = ""
    modified_at: float = 0.0


def label(score: Score) -> str:
    """Return the metric's name for reading, with its dataset unless that is the only, unnamed one."""
    return score.name if score.dataset == DEFAULT_DATASET else f"{score.dataset}/{score.name}"
