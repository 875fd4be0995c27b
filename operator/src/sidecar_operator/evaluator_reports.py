"""What an evaluator says about itself in `status.results`, and what that means for its user.

`verdict` calls it for the pods of the Job. Pure. What a pod said that has been replaced counts no more. Each message
says what is wrong, where, and what to do.
"""

from collections.abc import Collection

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Pod
from sidecar_operator.pod_diagnosis import Trouble
from sidecar_operator.resource_view import SidecarEvaluation

_REASONS = {
    "DirectoryMissing": Reason.DIRECTORY_MISSING,
    "NoCheckpoints": Reason.NO_CHECKPOINTS,
    "CheckpointsUnreadable": Reason.CHECKPOINTS_UNREADABLE,
}
OBSTRUCTING = frozenset({Reason.DIRECTORY_MISSING, Reason.CHECKPOINTS_UNREADABLE})
"""Problems with which the evaluator is not ready; a directory without checkpoints may just be waiting for the first."""


def problem_of(evaluation: SidecarEvaluation, pods: Collection[Pod]) -> Trouble | None:
    """Return what the evaluator in one of these pods says is in its way."""
    results = evaluation.results
    reason = _REASONS.get(results.problem_reason)
    if reason is None or results.evaluator_pod not in {pod.name for pod in pods}:
        return None
    return Trouble(reason, f"{results.problem_message}{_advice(reason, evaluation)}")


def _advice(reason: Reason, evaluation: SidecarEvaluation) -> str:
    if reason is Reason.CHECKPOINTS_UNREADABLE:
        return ""
    return (
        f" (spec.checkpoints.path is {evaluation.checkpoints_path!r}: let the training save there, or name its "
        "directory in a new resource)"
    )
