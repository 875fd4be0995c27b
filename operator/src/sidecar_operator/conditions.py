"""Conditions of a SidecarEvaluation: their types, their reasons, and how new ones replace old ones.

`status` decides which conditions hold, `events` and `metrics` read them. Pure. A reason is part of the API: people
alert and script on it, so it is named here, once, and never renamed lightly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sidecar_operator.kube_objects import Object

MESSAGE_LIMIT = 4096
"""Longest message that is written; what the API server or a container says is cut there."""


class Type(StrEnum):
    """Types of condition that the operator writes, in the order in which they are listed."""

    READY = "Ready"
    """The evaluator works, or has done its work (see `spec.readyWhen`)."""
    FINISHED = "Finished"
    """True on any ending, good or bad."""
    SUCCEEDED = "Succeeded"
    """Unknown until finished, then the verdict."""
    TRAINING_FINISHED = "TrainingFinished"
    """Present with `spec.trainingRef` only."""
    RECONCILING = "Reconciling"
    """Present only while true: the operator or the cluster still works towards Ready."""
    STALLED = "Stalled"
    """Present only while true: nothing more happens until somebody changes something."""


class Reason(StrEnum):
    """Why a condition has its status."""

    # Ready is true, or will be without anybody's doing.
    EVALUATOR_RUNNING = "EvaluatorRunning"
    EVALUATED = "Evaluated"
    EVALUATOR_STARTING = "EvaluatorStarting"
    WAITING_FOR_FIRST_EVALUATION = "WaitingForFirstEvaluation"
    EVALUATOR_DRAINED = "EvaluatorDrained"
    REPLACING_JOB = "ReplacingJob"
    SUSPENDED = "Suspended"

    # Something in the cluster keeps the pod from running; it may heal.
    IMAGE_NOT_PULLED = "ImageNotPulled"
    IMAGE_NAME_INVALID = "ImageNameInvalid"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CLAIM_NOT_BOUND = "ClaimNotBound"
    UNSCHEDULABLE = "Unschedulable"
    CONTAINER_CONFIGURATION = "ContainerConfiguration"
    CODE_NOT_FOUND = "CodeNotFound"
    VOLUME_NOT_MOUNTED = "VolumeNotMounted"
    SANDBOX_NOT_CREATED = "SandboxNotCreated"
    PODS_REFUSED = "PodsRefused"
    REFUSED_BY_API_SERVER = "RefusedByAPIServer"
    EVALUATOR_CRASHED = "EvaluatorCrashed"

    # The end.
    COMPLETED = "Completed"
    TRAINING_FINISHED = "TrainingFinished"
    MAX_EVALUATIONS = "MaxEvaluations"
    NO_CHECKPOINT_TIMEOUT = "NoCheckpointTimeout"
    NO_EVALUATION = "NoEvaluation"
    CONFIGURATION_ERROR = "ConfigurationError"
    EVALUATOR_FAILED = "EvaluatorFailed"

    # Not yet the end.
    NOT_FINISHED = "NotFinished"

    # The training.
    TRAINING_NOT_FOUND = "TrainingNotFound"
    TRAINING_RUNNING = "TrainingRunning"
    TRAINING_SUSPENDED = "TrainingSuspended"
    TRAINING_SUCCEEDED = "TrainingSucceeded"
    TRAINING_FAILED = "TrainingFailed"
    TRAINING_GONE = "TrainingGone"
    TRAINING_KIND_UNKNOWN = "TrainingKindUnknown"
    TRAINING_FORBIDDEN = "TrainingForbidden"


@dataclass(frozen=True)
class Condition:
    """A condition as decided now; `written` gives it the generation and time that the API wants."""

    type: Type
    reason: Reason
    message: str
    status: bool | None
    """None for Unknown."""

    @property
    def text(self) -> str:
        """The status as the API spells it."""
        return "Unknown" if self.status is None else str(self.status)


def written(conditions: Iterable[Condition], previous: Iterable[Object], generation: int, now: str) -> list[Object]:
    """Return the conditions as status holds them; a time changes only where the status itself does."""
    before = {condition["type"]: condition for condition in previous}
    return [_written(condition, before.get(condition.type), generation, now) for condition in conditions]


def own(conditions: Iterable[Object]) -> list[Object]:
    """Return those conditions that the operator writes, in its own order."""
    by_type = {condition["type"]: condition for condition in conditions}
    return [by_type[known] for known in Type if known in by_type]


def _written(condition: Condition, before: Object | None, generation: int, now: str) -> Object:
    unchanged = before is not None and before["status"] == condition.text
    return {
        "type": condition.type.value,
        "status": condition.text,
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if before and unchanged else now,
        "reason": condition.reason.value,
        "message": condition.message[:MESSAGE_LIMIT],
    }
