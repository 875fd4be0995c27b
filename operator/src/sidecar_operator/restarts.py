"""Whether a run that has failed is followed by another one, when that starts, and when the operator gives up.

`reconcile` asks once a pass, `verdict` tells the user. Pure. Only failures of the evaluator itself that settle no
checkpoint count against it: whatever stops it from outside (a lost node, a dead mount, an eviction, a deletion) delays
the next Job, and never ends the evaluation.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sidecar_operator import names, pod_diagnosis
from sidecar_operator.conditions import Type
from sidecar_operator.kube_objects import Job, Pod, parse_time
from sidecar_operator.manifests import BACKOFF_LIMIT
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.runs import Run

FAILURE_LIMIT = BACKOFF_LIMIT + 1
"""Failures of the evaluator itself, without a newly settled checkpoint between them, after which it is given up."""
FIRST_DELAY, LONGEST_DELAY = 10.0, 300.0
"""Seconds between the failure of a Job and the next one: the first time, and at most."""

LONGEST_PAUSE = timedelta(seconds=60)
"""How long a Job that has settled something may leave its evaluator without a pod before another one takes over."""

_LOST = {"ContainerStatusUnknown", "Unknown"}
"""Reasons of containers whose node restarted or lost them; their exit code is made up."""


def successor(
    run: Run, evaluation: SidecarEvaluation, job: Job | None, pods: Sequence[Pod], now: datetime
) -> Run | None:
    """Return the run that follows one whose Job has failed; None where it has not, or where it is given up."""
    if job is None or not job_has_failed(job, pods) or is_misconfigured(job, pods):
        return None
    if any(pod_diagnosis.has_ended_well(pod) for pod in pods):
        return None
    settled = evaluation.results.settled_count
    if has_advanced(run, evaluation):
        fruitless, failures = 0, 0
    else:
        fruitless, failures = run.fruitless_attempts + 1, run.failures + sum(failed_by_itself(pod) for pod in pods)
    if failures >= FAILURE_LIMIT:
        return None
    failed_at = min(_failed_at(job, pods) or now, now)  # its clock may be ahead of the operator's
    starts_at = failed_at + delay(fruitless)
    return run.followed(starts_at, fruitless_attempts=fruitless, failures=failures, settled=settled)


def has_advanced(run: Run, evaluation: SidecarEvaluation) -> bool:
    """Tell whether a checkpoint was settled in this run; fewer than at its beginning where results began anew."""
    return evaluation.results.settled_count not in {0, run.settled}


def taken_over_at(run: Run, evaluation: SidecarEvaluation, job: Job | None, pods: Iterable[Pod]) -> datetime | None:
    """Return when a Job that has no pod is to be followed by another one, although it has not failed.

    Kubernetes waits longer after each pod that ended, up to ten minutes, and never forgets one: after many evictions an
    evaluator that works well would wait each time. None where there is a pod, or nothing was settled.
    """
    ready = evaluation.condition(Type.READY)
    if job is None or job.has_ended or job.is_suspended or job.active_pods or any(not pod.is_over for pod in pods):
        return None
    if ready is None or ready.is_true or not has_advanced(run, evaluation):
        return None
    since = parse_time(ready.last_transition_time)
    return since + LONGEST_PAUSE if since else None


def job_has_failed(job: Job, pods: Iterable[Pod]) -> bool:
    """Tell whether the Job runs no evaluator any more, although none has ended well.

    A pod that another container keeps open is not failed for the Job, which therefore makes no other one.
    """
    return job.has_true("Failed") or any(pod_diagnosis.is_failure_held_open(pod) for pod in pods)


def _failed_at(job: Job, pods: Iterable[Pod]) -> datetime | None:
    ends = (pod.evaluator_end for pod in pods if pod_diagnosis.is_failure_held_open(pod))
    return job.failed_at or max((end.finished_at for end in ends if end and end.finished_at), default=None)


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
