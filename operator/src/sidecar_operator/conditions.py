"""Conditions of a SidecarEvaluation: their types, their reasons, and how new ones replace old ones.

`status` decides which conditions hold, `events` and `metrics` read them. Pure. A reason is part of the API: alerts and
scripts refer to it, so it is named here, once, and never renamed lightly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from sidecar_operator.kube_objects import JsonObject, StoredCondition

MESSAGE_LIMIT = 1024
"""Bytes, as the API server stores them, of the longest message that is written; longer ones lose their middle."""


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
    """Present only while true: nothing more happens until the user changes something."""
    RESULTS_CONSISTENT = "ResultsConsistent"
    """Present only while there is something to say: whether the results are of one code, image and training."""
    RESTART_REFUSED = "RestartRefused"
    """Present only while true: the annotation that asks for another run holds no time that has come."""


class Reason(StrEnum):
    """Why a condition has its status."""

    # Ready is true, or becomes true without a change by the user.
    EVALUATOR_RUNNING = "EvaluatorRunning"
    EVALUATED = "Evaluated"
    EVALUATOR_STARTING = "EvaluatorStarting"
    WAITING_FOR_TRAINING = "WaitingForTraining"
    WAITING_FOR_FIRST_EVALUATION = "WaitingForFirstEvaluation"
    CHECKPOINTS_FAILED = "CheckpointsFailed"
    EVALUATOR_DRAINED = "EvaluatorDrained"
    REPLACING_JOB = "ReplacingJob"
    TRAINING_ENDED_BEFORE = "TrainingEndedBefore"
    SUSPENDED = "Suspended"
    SUSPENDED_BY_OTHER = "SuspendedByOther"
    RESUMED_BY_OTHER = "ResumedByOther"

    # The evaluator runs and finds nothing that it can evaluate.
    DIRECTORY_MISSING = "DirectoryMissing"
    NO_CHECKPOINTS = "NoCheckpoints"
    CHECKPOINTS_UNREADABLE = "CheckpointsUnreadable"
    DIRECTORY_MOVED = "DirectoryMoved"
    EVALUATOR_NOT_REPORTING = "EvaluatorNotReporting"

    # The cluster keeps the pod from running; that may end without a change of the resource.
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
    API_SERVER_ERROR = "APIServerError"
    REFUSED_BY_API_SERVER = "RefusedByAPIServer"
    EVALUATOR_CRASHED = "EvaluatorCrashed"
    EVALUATOR_DISRUPTED = "EvaluatorDisrupted"

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

    # A request to run again.
    RESTART_TIME_INVALID = "RestartTimeInvalid"

    # What the results are of.
    CHECKPOINTS_OLDER_THAN_TRAINING = "CheckpointsOlderThanTraining"
    CODE_CHANGED = "CodeChanged"
    IMAGE_CHANGED = "ImageChanged"
    BEGAN_ANEW = "BeganAnew"

    # The training.
    TRAINING_NOT_FOUND = "TrainingNotFound"
    TRAINING_WAITING = "TrainingWaiting"
    TRAINING_RUNNING = "TrainingRunning"
    TRAINING_SUSPENDED = "TrainingSuspended"
    TRAINING_SUCCEEDED = "TrainingSucceeded"
    TRAINING_FAILED = "TrainingFailed"
    TRAINING_GONE = "TrainingGone"
    TRAINING_STATE_UNKNOWN = "TrainingStateUnknown"
    TRAINING_KIND_UNKNOWN = "TrainingKindUnknown"
    TRAINING_FORBIDDEN = "TrainingForbidden"
    TRAINING_BEING_DELETED = "TrainingBeingDeleted"
    TRAINING_UNREADABLE = "TrainingUnreadable"


@dataclass(frozen=True)
class Condition:
    """A condition as decided now; `render` adds the generation and time that the API requires."""

    type: Type
    reason: Reason
    message: str
    status: bool | None
    """None for Unknown."""

    @property
    def text(self) -> str:
        """The status as the API spells it."""
        return "Unknown" if self.status is None else str(self.status)


def render(
    conditions: Iterable[Condition], previous: Iterable[StoredCondition], generation: int, now: str
) -> list[JsonObject]:
    """Return the conditions as status holds them; a time changes only where the status itself does."""
    previous_by_type = {condition.type: condition for condition in previous}
    return [_render(condition, previous_by_type.get(condition.type), generation, now) for condition in conditions]


def of_operator(conditions: Iterable[JsonObject]) -> list[JsonObject]:
    """Return those conditions that the operator writes, in the order of `Type`."""
    by_type = {condition.get("type"): condition for condition in conditions}
    return [by_type[condition_type] for condition_type in Type if condition_type in by_type]


def _render(condition: Condition, previous: StoredCondition | None, generation: int, now: str) -> JsonObject:
    is_unchanged = previous is not None and previous.status == condition.text
    return {
        "type": condition.type.value,
        "status": condition.text,
        "observedGeneration": generation,
        "lastTransitionTime": previous.last_transition_time if previous and is_unchanged else now,
        "reason": condition.reason.value,
        "message": shortened(condition.message),
    }


def shortened(message: str) -> str:
    """Return a message that fits: how it begins and how it ends, which is what to do, where it is too long."""
    if stored_size(message) <= MESSAGE_LIMIT:
        return message
    begin = _fitting(message, MESSAGE_LIMIT * 2 // 3)
    end = _fitting(message[::-1], MESSAGE_LIMIT - stored_size(begin + ELLIPSIS))
    return begin + ELLIPSIS + end[::-1]


ELLIPSIS = " ... "


def stored_size(text: str) -> int:
    """Return how many bytes a text takes in JSON as the API server stores it, without the quotes."""
    return sum(map(_size, text))


def _size(character: str) -> int:
    if character in '"\\\n\r\t':
        return 2
    if character < " " or character in "<>&\u2028\u2029":
        return len("\\u003c")
    return len(character.encode(errors="replace"))


def _fitting(text: str, size: int) -> str:
    """Return the longest beginning of a text that takes so many bytes at most."""
    sizes = accumulate(map(_size, text))
    return text[: sum(total <= size for total in sizes)]
