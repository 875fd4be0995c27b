"""State of the training that a resource follows: has it ended, and how?

`following` reads the object and asks here what it means. Pure. What the status of one that exists says is read by
`training_status`. A training is its uid: a recorded end stays when the object is deleted, and holds for no other object
that is created under its name.
"""

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sidecar_operator.conditions import Condition, Reason, Type, shortened
from sidecar_operator.kube_objects import JsonObject, KubeObject, format_time, parse_time
from sidecar_operator.resource_view import RecordedTraining, TrainingRef
from sidecar_operator.training_status import Reading, State, read

ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.GONE})
"""States after which the evaluator drains and exits."""


STARTED = frozenset({State.RUNNING, *ENDED})
"""States of a training that has what it needs: an evaluator takes nothing from it any more."""
EVALUATOR_LAG = timedelta(seconds=10)
"""How long an evaluator may take to learn that the training which it saw ended was replaced by another object."""


class Absence(StrEnum):
    """Why a training could not be read."""

    NOT_FOUND = "NotFound"
    KIND_UNKNOWN = "KindUnknown"
    FORBIDDEN = "Forbidden"
    BEING_DELETED = "BeingDeleted"
    """The object of this name is going to be removed, and was not followed before."""
    UNREADABLE = "Unreadable"


class Unreadable(NamedTuple):
    """The API server cannot read the training now, for a reason of its own or of a webhook of the kind."""

    error: str


@dataclass(frozen=True)
class Training:
    """The training as this pass sees it."""

    ref: TrainingRef
    state: State
    message: str
    finished_at: str | None = None
    absence: Absence | None = None
    uid: str = ""
    """The object that the state is about; empty while none has been seen."""
    followed_since: str = ""
    """When the object with this uid was first seen."""
    created_at: str = ""
    """When the object with this uid was created."""

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
        fields = {
            "uid": self.uid,
            "createdAt": self.created_at,
            "followedSince": self.followed_since,
            "finishedAt": self.finished_at,
        }
        present = {field: value for field, value in fields.items() if value}
        return {"state": self.state.value, **present, "message": shortened(self.message)}

    def is_recorded(self, recorded: RecordedTraining) -> bool:
        """Tell whether an earlier pass has recorded this state of this object."""
        return (self.state, self.uid) == (recorded.state, recorded.uid)

    def had_ended_before(self, moment: datetime | None) -> bool:
        """Tell whether the object had succeeded or failed by this moment, such as a resource's creation.

        Both are whole seconds: what ended in the same one may have ended before, and an end is recorded for good.
        """
        finished_at = parse_time(self.finished_at or "")
        if self.state not in {State.SUCCEEDED, State.FAILED} or finished_at is None or moment is None:
            return False
        return finished_at <= moment

    def is_followed_after(self, evaluator_end: datetime | None) -> bool:
        """Tell whether an evaluator that ended then, because training had ended, cannot have meant this object."""
        since = parse_time(self.followed_since)
        if since is None or evaluator_end is None:
            return False
        return evaluator_end < since or (not self.has_ended and evaluator_end < since + EVALUATOR_LAG)


def follow(
    ref: TrainingRef, training: KubeObject | Absence | Unreadable, recorded: RecordedTraining, now: str
) -> Training:
    """Return the state of the training; `recorded` is what an earlier pass has written of it.

    An end that is recorded holds until another object bears the name. An object that is being deleted is followed on,
    but none that is being deleted begins to be followed.
    """
    ended = recorded_end(ref, recorded)
    if isinstance(training, Unreadable):
        return ended or _absent(ref, Absence.UNREADABLE, recorded, now, training.error)
    if isinstance(training, Absence):
        return ended or _absent(ref, training, recorded, now)
    is_another = training.uid != recorded.uid
    if is_another and training.is_being_deleted:
        return ended or _absent(ref, Absence.BEING_DELETED, recorded, now)
    if ended and not _is_cancelled(ended, is_another=is_another):
        return ended
    since = now if is_another else recorded.followed_since
    present, created_at = _present(ref, training, now), format_time(training.created_at) if training.created_at else ""
    return dataclasses.replace(present, uid=training.uid, followed_since=since, created_at=created_at)


def _is_cancelled(ended: Training, *, is_another: bool) -> bool:
    """Tell whether an object that exists cancels a recorded end; an older operator recorded ends without a uid."""
    return ended.state is State.GONE or (is_another and bool(ended.uid))


def recorded_end(ref: TrainingRef, recorded: RecordedTraining) -> Training | None:
    """Return the end that an earlier pass has recorded, None where there is none."""
    state = _recorded_state(recorded)
    return _recorded(ref, recorded, state, recorded.message) if state in ENDED else None


def _recorded(
    ref: TrainingRef, recorded: RecordedTraining, state: State, message: str, absence: Absence | None = None
) -> Training:
    """Return the training as it is recorded, with what this pass says of it."""
    return Training(
        ref,
        state,
        message,
        finished_at=recorded.finished_at or None,
        absence=absence,
        uid=recorded.uid,
        followed_since=recorded.followed_since,
        created_at=recorded.created_at,
    )


def _recorded_state(recorded: RecordedTraining) -> State:
    return State(recorded.state) if recorded.state in list(State) else State.PENDING


def condition(training: Training) -> Condition:
    """Return the condition TrainingFinished."""
    reason = _ABSENCE_REASONS[training.absence] if training.absence else _STATE_REASONS[training.state]
    is_unknown = training.absence in UNREADABLE or training.state is State.UNKNOWN
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
    Absence.BEING_DELETED: Reason.TRAINING_BEING_DELETED,
    Absence.UNREADABLE: Reason.TRAINING_UNREADABLE,
}

UNREADABLE = frozenset({Absence.KIND_UNKNOWN, Absence.FORBIDDEN, Absence.UNREADABLE})
"""Absences that say nothing about the training: the state that was seen last is kept."""


def _absent(ref: TrainingRef, absence: Absence, recorded: RecordedTraining, now: str, error: str = "") -> Training:
    last_state = _recorded_state(recorded)
    if absence is Absence.NOT_FOUND and last_state is not State.PENDING:
        message = f"{ref} no longer exists in namespace {ref.namespace}; the checkpoints that it left are evaluated"
        return dataclasses.replace(_recorded(ref, recorded, State.GONE, message), finished_at=now)
    message = _ABSENCE_MESSAGES[absence].format(ref=ref, error=error)
    if absence in UNREADABLE and last_state is not State.PENDING:
        message = f"{message}; until then its last state, {last_state}, is kept"
    return _recorded(ref, recorded, last_state, message, absence)


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
    Absence.BEING_DELETED: (
        "{ref} is being deleted in namespace {ref.namespace}: the next object of this name is followed; create it, or "
        "name another in a new resource"
    ),
    Absence.UNREADABLE: (
        "the API server cannot read {ref} in namespace {ref.namespace} now: {error}; it is tried again: check the "
        "conversion webhook or the API service of kind {ref.kind}"
    ),
}


def _present(ref: TrainingRef, training: KubeObject, now: str) -> Training:
    reading = read(training)
    if reading.state in ENDED:
        return _ended(ref, reading, now)
    detail = f": {reading.detail}" if reading.detail else ""
    message = _PRESENT_MESSAGES[reading.state].format(ref=ref, detail=detail)
    return Training(ref, reading.state, f"{message} (it is being deleted)" if training.is_being_deleted else message)


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
