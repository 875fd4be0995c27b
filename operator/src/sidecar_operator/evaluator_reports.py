"""What an evaluator says about itself in `status.results`, and what that means for its user.

`verdict` calls it for the pods of the Job. Pure. What a pod said that has been replaced counts no more. Each message
says what is wrong, where, and what to do.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Pod, format_time
from sidecar_operator.pod_diagnosis import Trouble
from sidecar_operator.resource_view import SidecarEvaluation

_REASONS = {
    "DirectoryMissing": Reason.DIRECTORY_MISSING,
    "NoCheckpoints": Reason.NO_CHECKPOINTS,
    "CheckpointsUnreadable": Reason.CHECKPOINTS_UNREADABLE,
    "DirectoryMoved": Reason.DIRECTORY_MOVED,
}
OBSTRUCTING = frozenset({Reason.DIRECTORY_MISSING, Reason.CHECKPOINTS_UNREADABLE, Reason.DIRECTORY_MOVED})
"""Problems with which the evaluator is not ready; a directory without checkpoints may just be waiting for the first."""

INTRODUCTION = timedelta(seconds=60)
"""How long an evaluator may take from its start until its first report, which comes before it builds the model."""


def problem_of(evaluation: SidecarEvaluation, pods: Collection[Pod]) -> Trouble | None:
    """Return what the evaluator in one of these pods says is in its way."""
    results = evaluation.results
    reason = _REASONS.get(results.problem_reason)
    if reason is None or results.evaluator_pod not in {pod.name for pod in pods}:
        return None
    return Trouble(reason, f"{results.problem_message}{_advice(reason, evaluation)}")


def silence_of(evaluation: SidecarEvaluation, pod: Pod, now: datetime) -> Trouble | None:
    """Return that the evaluator in this pod runs and cannot report: it was ready, or it never wrote a word."""
    started_at, unready_since = pod.evaluator_started_at, pod.unready_since
    if started_at is None or pod.is_ready or pod.is_being_deleted:
        return None
    if unready_since:
        what = f"has failed its readiness probe since {format_time(unready_since)}"
    elif seconds_to_introduction(evaluation, pod, now) == 0:
        what = f"has not written status.results since its start at {format_time(started_at)}"
    else:
        return None
    return Trouble(
        Reason.EVALUATOR_NOT_REPORTING,
        f"the evaluator in pod {pod.name} runs and {what}: most likely it cannot reach the API server, so that it "
        "neither publishes results nor learns that training has ended; check the NetworkPolicies of namespace "
        f"{pod.namespace}, which must allow egress to the API server, and `kubectl logs {pod.name} -n {pod.namespace}`",
    )


def seconds_to_introduction(evaluation: SidecarEvaluation, pod: Pod | None, now: datetime) -> float | None:
    """Return how long the first report of this pod's evaluator may still take; None where none is awaited."""
    if pod is None or pod.is_ready or evaluation.results.evaluator_pod == pod.name:
        return None
    started_at = pod.evaluator_started_at
    return max((started_at + INTRODUCTION - now).total_seconds(), 0.0) if started_at else None


def _advice(reason: Reason, evaluation: SidecarEvaluation) -> str:
    if reason is Reason.DIRECTORY_MOVED:
        return ""
    if reason is Reason.CHECKPOINTS_UNREADABLE:
        return " (spec.evaluator.securityContext sets its user and groups)"
    return (
        f" (spec.checkpoints.path is {evaluation.checkpoints_path!r}: let the training save there, or name its "
        "directory in a new resource)"
    )
