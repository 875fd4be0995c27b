"""What became of one checkpoint: plain values that the loop makes and every writer reads.

`skipped` is no outcome of its own: a skipped checkpoint is only counted. Times are seconds since
the epoch, durations are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from sidecar_evaluator.checkpoints.identity import CheckpointId, checkpoint_id
from sidecar_evaluator.errors import (
    CheckpointIncompatible,
    CheckpointUnreadable,
    IterationsMissingError,
)

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


_REASONS: Mapping[type[BaseException], Reason] = {
    CheckpointUnreadable: Reason.UNREADABLE,
    CheckpointIncompatible: Reason.INCOMPATIBLE,
    IterationsMissingError: Reason.ITERATIONS_MISSING,
}


def reason_of(error: BaseException) -> Reason:
    """Return why a checkpoint failed with this error."""
    return _REASONS.get(type(error), Reason.EVALUATION_ERROR)


@dataclass(frozen=True)
class Score:
    """One metric's value on one dataset; NaN and infinities are values."""

    name: str
    value: float
    dataset: str = DEFAULT_DATASET


@dataclass(frozen=True)
class Provenance:
    """What made an outcome, "" where that is unknown: the digest of the user's code, and the image's ID."""

    code_digest: str = ""
    image_id: str = ""


@dataclass(frozen=True)
class Outcome:
    """A settled checkpoint.

    `step` is the number of training iterations, None where neither file nor name holds it;
    `number` is the one in the checkpoint's name. It `is_written_again` where training has gone back: a name
    that was settled before was written anew.
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
    is_written_again: bool = False
    provenance: Provenance = Provenance()

    @cached_property
    def id(self) -> CheckpointId:
        """Which checkpoint it is about."""
        return checkpoint_id(self.checkpoint, self.number, self.modified_at)


def label(score: Score) -> str:
    """Return the metric's name for reading, with its dataset unless that is the only, unnamed one."""
    return score.name if score.dataset == DEFAULT_DATASET else f"{score.dataset}/{score.name}"
