"""What the status of a training says: it waits, runs, is suspended or has ended, or nothing that is understood.

`training_state` asks here about a training that exists. Pure. No kind has code of its own: what is read are the shapes
that the kinds in use share, and a status of any other shape is reported as one that says nothing. Failure is looked for
before success, because some kinds call any end `Completed`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sidecar_operator.kube_objects import KubeObject, StoredCondition, integer_at, object_at, objects_at, text_at


class State(StrEnum):
    """States of `status.training.state`."""

    PENDING = "Pending"
    """It has not been seen yet."""
    WAITING = "Waiting"
    """It exists, and no pod of it runs."""
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    GONE = "Gone"
    UNKNOWN = "Unknown"
    """It exists, and its status says neither that it runs nor that it has ended."""


@dataclass(frozen=True)
class Reading:
    """What a status says."""

    state: State
    detail: str = ""
    """The status' own words for it; empty where it has none."""
    since: str = ""
    """When an end came, as the status holds it; empty where it does not say."""


Check = Callable[[KubeObject], Reading | None]


def read(training: KubeObject) -> Reading:
    """Return what the status of a training says."""
    readings = (check(training) for check in CHECKS)
    return next((reading for reading in readings if reading), Reading(State.UNKNOWN))


def _has_failed(training: KubeObject) -> Reading | None:
    failed, succeeded = training.condition("Failed"), training.condition("Succeeded")
    if failed and failed.is_true:
        return _ended(State.FAILED, failed)
    if succeeded and succeeded.status == "False" and (succeeded.reason in FAILURE_REASONS or _end_time(training)):
        return _ended(State.FAILED, succeeded)
    return _by_phase(training, {State.FAILED})


def _has_succeeded(training: KubeObject) -> Reading | None:
    for condition_type in SUCCESS_CONDITIONS:
        condition = training.condition(condition_type)
        if condition and condition.is_true:
            return _ended(State.SUCCEEDED, condition)
    return _by_phase(training, {State.SUCCEEDED})


def _is_suspended(training: KubeObject) -> Reading | None:
    if training.has_true("Suspended"):
        return Reading(State.SUSPENDED)
    return _by_phase(training, {State.SUSPENDED})


def _counts_pods(training: KubeObject) -> Reading | None:
    """Read how many of its pods, or of its Jobs whose pods all run, a training counts."""
    running = _running_count(training)
    if running is None:
        return None
    return Reading(State.RUNNING if running else State.WAITING)


def _names_running_pods(training: KubeObject) -> Reading | None:
    """Read the conditions that say whether a pod runs."""
    for condition_type in ("PodRunning", "Running"):
        condition = training.condition(condition_type)
        if condition and condition.is_true:
            return Reading(State.RUNNING)
        if condition and condition.status == "False":
            return Reading(State.WAITING, condition.message)
    return None


def _has_not_ended(training: KubeObject) -> Reading | None:
    """Read the conditions that will say the end: by their reason, a training without an end may still wait."""
    conditions = [condition for condition in training.conditions if condition.type in KNOWN_CONDITIONS]
    if not conditions:
        return None
    waiting = next((condition for condition in conditions if _is_waiting(condition)), None)
    if waiting is None:
        return Reading(State.RUNNING)
    return Reading(State.WAITING, waiting.message or waiting.reason)


def _is_waiting(condition: StoredCondition) -> bool:
    return condition.status == "Unknown" and condition.reason in WAITING_REASONS


def _has_phase(training: KubeObject) -> Reading | None:
    return _by_phase(training, {State.RUNNING, State.WAITING})


def _has_not_begun(training: KubeObject) -> Reading | None:
    """Tell that nothing works on the training yet: its status is empty, or says no more than that it was created."""
    status = training.raw.get("status") or {}
    is_empty = isinstance(status, dict) and not any(status.values())
    return Reading(State.WAITING) if is_empty or training.has_true("Created") else None


CHECKS: tuple[Check, ...] = (
    _has_failed,
    _has_succeeded,
    _is_suspended,
    _counts_pods,
    _names_running_pods,
    _has_phase,
    _has_not_ended,
    _has_not_begun,
)
"""What a status is read for, in this order."""

SUCCESS_CONDITIONS = ("Succeeded", "Complete", "Completed")
"""Condition types that are True, in the kinds in use, once a training has ended well."""
KNOWN_CONDITIONS = frozenset({*SUCCESS_CONDITIONS, "Failed", "Suspended", "Restarting"})
"""Condition types of trainings that will say how they end."""
FAILURE_REASONS = frozenset({"Failed", "Error"})
"""Reasons of `Succeeded=False` that are an end by themselves; with another reason it is one if there is an end time."""
WAITING_REASONS = frozenset(
    {"Pending", "PipelineRunPending", "Started", "ExceededNodeResources", "ExceededResourceQuota"}
)
"""Reasons of `Succeeded=Unknown` (Tekton) while no pod runs."""
END_TIMES = (
    ("completionTime",),
    ("finishedAt",),
    ("endTime",),
    ("terminationTime",),
    ("state", "lastTransitionTime"),
)
"""Where the kinds in use hold the time of their end."""
PHASES = (
    ("phase",),  # Argo Workflow, Pod
    ("state", "phase"),  # Volcano Job
    ("state",),
    ("applicationState", "state"),  # SparkApplication
    ("jobDeploymentStatus",),  # RayJob
)
"""Where the kinds in use hold one word for everything."""
MESSAGES = (("message",), ("state", "message"), ("applicationState", "errorMessage"))
"""Where a kind with a phase explains it."""
STATES_OF_PHASES = {
    **dict.fromkeys(("failed", "error", "terminated", "stopped", "validationfailed", "cancelled"), State.FAILED),
    **dict.fromkeys(("succeeded", "completed", "complete"), State.SUCCEEDED),
    **dict.fromkeys(("suspended", "suspending", "aborted"), State.SUSPENDED),
    **dict.fromkeys(
        ("running", "completing", "succeeding", "failing", "invalidating", "aborting", "terminating", "stopping"),
        State.RUNNING,
    ),
    **dict.fromkeys(
        (
            "pending",
            "created",
            "queued",
            "submitted",
            "scheduling",
            "scheduled",
            "initializing",
            "waiting",
            "restarting",
            "retrying",
            "pendingrerun",
        ),
        State.WAITING,
    ),
}
"""What the phases of the kinds in use mean, in lower case and without `_`; all others say nothing."""


def _ended(state: State, condition: StoredCondition) -> Reading:
    return Reading(state, (condition.message or condition.reason).strip(), condition.last_transition_time)


def _by_phase(training: KubeObject, states: set[State]) -> Reading | None:
    """Return what the phase of a training says where it is one of these states."""
    phase = _phase(training)
    state = STATES_OF_PHASES.get(phase.lower().replace("_", ""))
    if state not in states:
        return None
    return Reading(state, _text(training, MESSAGES).strip() or phase, _end_time(training))


def _phase(training: KubeObject) -> str:
    """Return the phase; a RayJob is Complete whatever came of its job, so there it is that of the job."""
    phase = _text(training, PHASES)
    is_complete_ray_job = text_at(training.raw, "status", "jobDeploymentStatus") == "Complete"
    return (text_at(training.raw, "status", "jobStatus") if is_complete_ray_job else "") or phase


def _end_time(training: KubeObject) -> str:
    return _text(training, END_TIMES)


def _text(training: KubeObject, paths: tuple[tuple[str, ...], ...]) -> str:
    texts = (text_at(training.raw, "status", *path) for path in paths)
    return next((text for text in texts if text), "")


def _running_count(training: KubeObject) -> int | None:
    """Return how many pods, or Jobs of pods, run; None where the status does not count them.

    TFJob and its kin count pods by role, JobSet and TrainJob count Jobs, Job and Volcano Job count pods. A Job that
    only prepares a TrainJob is not its training.
    """
    status = object_at(training.raw, "status")
    if roles := object_at(status, "replicaStatuses"):
        return sum(integer_at(role, "active") or 0 for role in roles.values())
    if jobs := objects_at(status, "jobsStatus") or objects_at(status, "replicatedJobsStatus"):
        return sum(integer_at(job, "ready") or 0 for job in jobs if not text_at(job, "name").endswith("-initializer"))
    counts = (integer_at(status, field) for field in ("ready", "running"))
    running = next((count for count in counts if count is not None), None)
    return 0 if running is None and integer_at(status, "active") is not None else running
