"""The training that a resource follows: has it ended, and how?

`reconcile` looks the object up and asks here what it means. Pure. Only the usual conditions are read, so that TFJob,
PyTorchJob, TrainJob, JobSet, Job and kinds that nobody here has heard of work alike. An end that was seen once stays:
a training object may be deleted, and even be created again, after it has ended.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sidecar_operator import kube_objects
from sidecar_operator.conditions import MESSAGE_LIMIT, Condition, Reason, Type
from sidecar_operator.kube_objects import Object, TrainingRef

SUCCESS_CONDITIONS = ("Succeeded", "Complete", "Completed")
"""Condition types by which the kinds in use say that they ended well."""


class State(StrEnum):
    """States of `status.training.state`."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    GONE = "Gone"


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.GONE})
"""States after which the evaluator drains and exits."""


class Absence(StrEnum):
    """Why a training could not be read."""

    NOT_FOUND = "NotFound"
    KIND_UNKNOWN = "KindUnknown"
    FORBIDDEN = "Forbidden"


@dataclass(frozen=True)
class Training:
    """What is known of the training."""

    ref: TrainingRef
    state: State
    message: str
    finished_at: str | None = None
    absence: Absence | None = None

    @property
    def has_ended(self) -> bool:
        """Whether no further checkpoint is to be expected."""
        return self.state in ENDED

    def written(self) -> Object:
        """Return it as `status.training` holds it."""
        finished = {"finishedAt": self.finished_at} if self.finished_at else {}
        return {"state": self.state.value, **finished, "message": self.message[:MESSAGE_LIMIT]}


def follow(ref: TrainingRef, found: Object | Absence, previous: Object | None, now: str) -> Training:
    """Say what the looked-up object means, given what `status.training` said before."""
    if ended := recorded_end(ref, previous):
        return ended
    if isinstance(found, Absence):
        return _absent(ref, found, previous, now)
    return _present(ref, found, now)


def recorded_end(ref: TrainingRef, previous: Object | None) -> Training | None:
    """Return the end that `status.training` has recorded, None where it has recorded none."""
    state = (previous or {}).get("state")
    if previous is None or state not in ENDED:
        return None
    return Training(ref, State(state), str(previous.get("message", "")), previous.get("finishedAt"))


def condition(training: Training) -> Condition:
    """Return the condition TrainingFinished."""
    reason = _ABSENCE_REASONS[training.absence] if training.absence else _STATE_REASONS[training.state]
    unknown = training.absence in {Absence.KIND_UNKNOWN, Absence.FORBIDDEN}
    status = None if unknown else training.has_ended
    return Condition(Type.TRAINING_FINISHED, reason, training.message, status=status)


_STATE_REASONS = {
    State.PENDING: Reason.TRAINING_NOT_FOUND,
    State.RUNNING: Reason.TRAINING_RUNNING,
    State.SUSPENDED: Reason.TRAINING_SUSPENDED,
    State.SUCCEEDED: Reason.TRAINING_SUCCEEDED,
    State.FAILED: Reason.TRAINING_FAILED,
    State.GONE: Reason.TRAINING_GONE,
}

_ABSENCE_REASONS = {
    Absence.NOT_FOUND: Reason.TRAINING_NOT_FOUND,
    Absence.KIND_UNKNOWN: Reason.TRAINING_KIND_UNKNOWN,
    Absence.FORBIDDEN: Reason.TRAINING_FORBIDDEN,
}


def _absent(ref: TrainingRef, absence: Absence, previous: Object | None, now: str) -> Training:
    last_seen = State((previous or {}).get("state", State.PENDING))
    if absence is Absence.NOT_FOUND and last_seen is not State.PENDING:
        return Training(ref, State.GONE, f"{ref} no longer exists", finished_at=now)
    return Training(ref, last_seen, _ABSENCE_MESSAGES[absence].format(ref=ref), absence=absence)


_ABSENCE_MESSAGES = {
    Absence.NOT_FOUND: "{ref} does not exist yet; it is followed as soon as it does",
    Absence.KIND_UNKNOWN: (
        "the cluster knows no kind {ref.kind} in {ref.api_version}: correct spec.trainingRef in a new resource, "
        "or install the operator of that kind"
    ),
    Absence.FORBIDDEN: (
        "the operator may not read kind {ref.kind} of {ref.api_version}: grant its ServiceAccount get, list and "
        "watch on it"
    ),
}


def _present(ref: TrainingRef, found: Object, now: str) -> Training:
    for condition_type in SUCCESS_CONDITIONS:
        if kube_objects.is_true(found, condition_type):
            return _ended(ref, State.SUCCEEDED, found, condition_type, now)
    if kube_objects.is_true(found, "Failed"):
        return _ended(ref, State.FAILED, found, "Failed", now)
    if kube_objects.is_true(found, "Suspended"):
        return Training(ref, State.SUSPENDED, f"{ref} is suspended")
    return Training(ref, State.RUNNING, f"{ref} has not finished")


def _ended(ref: TrainingRef, state: State, found: Object, condition_type: str, now: str) -> Training:
    condition = kube_objects.find_condition(found, condition_type) or {}
    words = "succeeded" if state is State.SUCCEEDED else "failed"
    said = str(condition.get("message") or condition.get("reason") or "").strip()
    return Training(
        ref,
        state,
        f"{ref} {words}: {said}" if said else f"{ref} {words}",
        finished_at=_time_of(condition) or now,
    )


def _time_of(condition: Object) -> str | None:
    """Return when the condition changed, None where it does not say so in a way that status can hold."""
    text = str(condition.get("lastTransitionTime", ""))
    try:
        return text if datetime.fromisoformat(text).tzinfo else None
    except ValueError:
        return None
