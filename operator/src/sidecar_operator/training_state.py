"""State of the training that a resource follows: has it ended, and how?

`reconcile` reads the object and asks here what it means. Pure. What the status of one that exists says is read by
`training_status`. An end that was recorded once stays: a training object may be deleted, and even be created again,
after it has ended.
"""

from dataclasses import dataclass
from enum import StrEnum

from sidecar_operator.conditions import Condition, Reason, Type, shortened
from sidecar_operator.kube_objects import JsonObject, KubeObject, format_time, parse_time
from sidecar_operator.resource_view import RecordedTraining, TrainingRef
from sidecar_operator.training_status import Reading, State, read

ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.GONE})
"""States after which the evaluator drains and exits."""


STARTED = frozenset({State.RUNNING, *ENDED})
"""States of a training that has what it needs: an evaluator takes nothing from it any more."""


class Absence(StrEnum):
    """Why a training could not be read."""

    NOT_FOUND = "NotFound"
    KIND_UNKNOWN = "KindUnknown"
    FORBIDDEN = "Forbidden"


@dataclass(frozen=True)
class Training:
    """The training as this pass sees it."""

    ref: TrainingRef
    state: State
    message: str
    finished_at: str | None = None
    absence: Absence | None = None

    @property
    def has_ended(self) -> bool:
        """Whether no further checkpoint is to be expected."""
        return self.state in ENDED

    @property
    def has_started(self) -> bool:
        """Whether it runs, or has run."""
        return self.state in STARTED

    def to_json(self) -> JsonObject:
        """Return it as `status.training` holds it."""
        finished = {"finishedAt": self.finished_at} if self.finished_at else {}
        return {"state": self.state.value, **finished, "message": shortened(self.message)}


def follow(ref: TrainingRef, training: KubeObject | Absence, recorded: RecordedTraining, now: str) -> Training:
    """Return the state of the training; `recorded` is what an earlier pass has written of it."""
    if ended := recorded_end(ref, recorded):
        return ended
    if isinstance(training, Absence):
        return _absent(ref, training, recorded, now)
    return _present(ref, training, now)


def recorded_end(ref: TrainingRef, recorded: RecordedTraining) -> Training | None:
    """Return the end that an earlier pass has recorded, None where there is none."""
    state = _recorded_state(recorded)
    return Training(ref, state, recorded.message, recorded.finished_at or None) if state in ENDED else None


def _recorded_state(recorded: RecordedTraining) -> State:
    return State(recorded.state) if recorded.state in list(State) else State.PENDING


def condition(training: Training) -> Condition:
    """Return the condition TrainingFinished."""
    reason = _ABSENCE_REASONS[training.absence] if training.absence else _STATE_REASONS[training.state]
    is_unread = training.absence in {Absence.KIND_UNKNOWN, Absence.FORBIDDEN}
    is_unknown = is_unread or training.state is State.UNKNOWN
    status = None if is_unknown else training.has_ended
    return Condition(Type.TRAINING_FINISHED, reason, training.message, status=status)


_STATE_REASONS = {
    State.PENDING: Reason.TRAINING_NOT_FOUND,
    State.WAITING: Reason.TRAINING_WAITING,
    State.RUNNING: Reason.TRAINING_RUNNING,
    State.SUSPENDED: Reason.TRAINING_SUSPENDED,
    State.SUCCEEDED: Reason.TRAINING_SUCCEEDED,
    State.FAILED: Reason.TRAINING_FAILED,
    State.GONE: Reason.TRAINING_GONE,
    State.UNKNOWN: Reason.TRAINING_STATE_UNKNOWN,
}

_ABSENCE_REASONS = {
    Absence.NOT_FOUND: Reason.TRAINING_NOT_FOUND,
    Absence.KIND_UNKNOWN: Reason.TRAINING_KIND_UNKNOWN,
    Absence.FORBIDDEN: Reason.TRAINING_FORBIDDEN,
}


def _absent(ref: TrainingRef, absence: Absence, recorded: RecordedTraining, now: str) -> Training:
    last_state = _recorded_state(recorded)
    if absence is Absence.NOT_FOUND and last_state is not State.PENDING:
        message = f"{ref} no longer exists in namespace {ref.namespace}; the checkpoints that it left are evaluated"
        return Training(ref, State.GONE, message, finished_at=now)
    return Training(ref, last_state, _ABSENCE_MESSAGES[absence].format(ref=ref), absence=absence)


_ABSENCE_MESSAGES = {
    Absence.NOT_FOUND: (
        "{ref} does not exist yet in namespace {ref.namespace}: create it, or name another in a new resource"
    ),
    Absence.KIND_UNKNOWN: (
        "the cluster has no kind {ref.kind} in {ref.api_version}, which spec.trainingRef names: install the operator "
        "of that kind, or correct spec.trainingRef in a new resource"
    ),
    Absence.FORBIDDEN: (
        "the operator may not read kind {ref.kind} of {ref.api_version}, which spec.trainingRef names: grant its "
        "ServiceAccount get, list and watch on it"
    ),
}


def _present(ref: TrainingRef, training: KubeObject, now: str) -> Training:
    reading = read(training)
    if reading.state in ENDED:
        return _ended(ref, reading, now)
    detail = f": {reading.detail}" if reading.detail else ""
    return Training(ref, reading.state, _PRESENT_MESSAGES[reading.state].format(ref=ref, detail=detail))


_PRESENT_MESSAGES = {
    State.WAITING: "{ref} waits, no pod of it runs{detail}",
    State.RUNNING: "{ref} has not finished",
    State.SUSPENDED: "{ref} is suspended: resume it to get further checkpoints",
    State.UNKNOWN: (
        "the status of {ref} says neither that it runs nor that it has ended: use spec.completion to end the "
        "evaluation, and spec.startWhen: Immediately to start it"
    ),
}


def _ended(ref: TrainingRef, reading: Reading, now: str) -> Training:
    message = f"{ref} {reading.state.lower()}" + (f": {reading.detail}" if reading.detail else "")
    finished_at = parse_time(reading.since)
    return Training(ref, reading.state, message, finished_at=format_time(finished_at) if finished_at else now)
