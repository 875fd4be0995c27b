"""What a Job's `suspend` means that somebody else than the operator has written: a queue, or a user.

`verdict` asks. Pure. The operator leaves such a value alone, so the user is told, and told how to change it.
"""

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Job
from sidecar_operator.pod_diagnosis import Trouble


def resumed(job: Job | None) -> Trouble | None:
    """Return that a Job runs although the operator has suspended it."""
    if job is None or job.has_ended or job.is_suspended or job.requested_suspend != "true":
        return None
    return Trouble(
        Reason.RESUMED_BY_OTHER,
        f"spec.suspend is true, but another client has resumed Job {job.name}, so the evaluator runs: set spec.suspend "
        f"to false, or stop it with {_command(job, suspend=True)}",
    )


def suspended(job: Job | None) -> Trouble | None:
    """Return that a Job is suspended although the operator has not asked for it."""
    if job is None or job.has_ended or not job.is_suspended or job.requested_suspend != "false":
        return None
    return Trouble(
        Reason.SUSPENDED_BY_OTHER,
        f"spec.suspend is false, but another client or a queue has suspended Job {job.name}: the evaluator starts when "
        f"that resumes it, or with {_command(job, suspend=False)}",
    )


def _command(job: Job, *, suspend: bool) -> str:
    patch = f'{{"spec":{{"suspend":{str(suspend).lower()}}}}}'
    return f"`kubectl patch job {job.name} -n {job.namespace} --type=merge -p '{patch}'`"
