"""Whether a run that has failed is followed by another one, when that starts, and when the operator gives up.

`reconcile` asks once a pass, `verdict` tells the user. Pure. Only failures of the evaluator itself that settle no
checkpoint count against it: whatever stops it from outside (a lost node, a dead mount, an eviction, a deletion) delays
the next Job, and never ends the evaluation.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sidecar_operator import names, pod_diagnosis
from sidecar_operator.kube_objects import Job, Pod
from sidecar_operator.manifests import BACKOFF_LIMIT
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.runs import Run

FAILURE_LIMIT = BACKOFF_LIMIT + 1
"""Failures of the evaluator itself, without a newly settled checkpoint between them, after which it is given up."""
FIRST_DELAY, LONGEST_DELAY = 10.0, 300.0
"""Seconds between the failure of a Job and the next one: the first time, and at most."""

_LOST = {"ContainerStatusUnknown", "Unknown"}
"""Reasons of containers whose node restarted or lost them; their exit code is made up."""


def successor(
    run: Run, evaluation: SidecarEvaluation, job: Job | None, pods: Sequence[Pod], now: datetime
) -> Run | None:
    """Return the run that follows one whose Job has failed; None where it has not, or where it is given up."""
    if job is None or not job.has_true("Failed") or is_misconfigured(job, pods):
        return None
    settled = evaluation.results.settled_count
    if settled > run.settled:
        fruitless, failures = 0, 0
    else:
        fruitless, failures = run.fruitless_attempts + 1, run.failures + sum(failed_by_itself(pod) for pod in pods)
    if failures >= FAILURE_LIMIT:
        return None
    starts_at = (job.failed_at or now) + delay(fruitless)
    return run.followed(starts_at, fruitless_attempts=fruitless, failures=failures, settled=settled)


def delay(fruitless_attempts: int) -> timedelta:
    """Return the time between a failed Job and the next one."""
    return timedelta(seconds=min(FIRST_DELAY * 2.0 ** min(max(fruitless_attempts - 1, 0), 10), LONGEST_DELAY))


def is_misconfigured(job: Job, pods: Iterable[Pod]) -> bool:
    """Tell whether only a person can put right what made the Job fail."""
    failed = job.condition("Failed")
    ends = (pod.evaluator_end for pod in pods)
    return (failed is not None and failed.reason == names.POD_FAILURE_POLICY_REASON) or any(
        end is not None and end.exit_code == names.CONFIGURATION_ERROR_EXIT_CODE for end in ends
    )


def failed_by_itself(pod: Pod) -> bool:
    """Tell whether the evaluator of this pod ended by a fault of its own."""
    end = pod.evaluator_end
    if end is None or end.reason in _LOST or not pod_diagnosis.has_failed(pod):
        return False
    return end.exit_code not in (0, *names.OUTSIDE_EXIT_CODES)
