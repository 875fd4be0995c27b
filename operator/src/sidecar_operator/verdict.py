"""How an evaluation stands: ready, starting, in trouble, or ended, from everything that one pass has observed.

`reconcile` gathers an `Observed`, asks here, and reports the verdict through `status`. Pure. The verdict is an ordered
tuple of small checks: the first that has something to say decides, so the tuple reads as the specification.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar_operator import kube_objects, pod_diagnosis
from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Object
from sidecar_operator.manifests import BACKOFF_LIMIT
from sidecar_operator.pod_diagnosis import Warned
from sidecar_operator.training_state import Training


@dataclass(frozen=True)
class Observed:
    """Everything that one pass has seen of a resource."""

    evaluation: Object
    job: Object | None = None
    """The Job that should exist, where it does."""
    pods: list[Object] = field(default_factory=list)
    """Pods of that Job."""
    warnings: list[Warned] = field(default_factory=list)
    """Warning events of the Job without a pod, or of the pod that is being created, oldest first."""
    is_replacing: bool = False
    """A Job of an earlier spec, or a pod of one, is still there."""
    refusal: str | None = None
    """What the API server said when it refused a child."""
    training: Training | None = None


@dataclass(frozen=True)
class Verdict:
    """How the evaluation stands: the common source of Ready, Finished, Succeeded, Reconciling and Stalled."""

    reason: Reason
    message: str
    is_ready: bool = False
    is_progressing: bool = False
    succeeded: bool | None = None
    """None until the evaluation has ended."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is going to be evaluated under this spec."""
        return self.succeeded is not None


Check = Callable[[Observed], Verdict | None]


def verdict(observed: Observed) -> Verdict:
    """Return how the evaluation stands."""
    found = (check(observed) for check in CHECKS)
    return next((one for one in found if one), _starting(_STARTING))


def _refused(observed: Observed) -> Verdict | None:
    if observed.refusal is None:
        return None
    return Verdict(Reason.REFUSED_BY_API_SERVER, observed.refusal, is_progressing=True)


def _replacing(observed: Observed) -> Verdict | None:
    if not observed.is_replacing:
        return None
    message = "the evaluator of an earlier spec is being stopped; results are kept"
    return Verdict(Reason.REPLACING_JOB, message, is_progressing=True)


def _completed(observed: Observed) -> Verdict | None:
    if observed.job is None or not kube_objects.is_true(observed.job, "Complete"):
        return None
    results = _results(observed)
    reason = Reason(results.get("ended", {}).get("reason", Reason.COMPLETED))
    why = _ENDINGS.get(reason, "the evaluator has finished")
    if not _evaluated(observed):
        message = f"{why}, but no checkpoint could be evaluated: {_why_none(results)}"
        return Verdict(Reason.NO_EVALUATION, message, succeeded=False)
    return Verdict(reason, f"{why}; {_summary(results)}", is_ready=True, succeeded=True)


def _failed(observed: Observed) -> Verdict | None:
    failed = kube_objects.find_condition(observed.job, "Failed") if observed.job else None
    if failed is None or failed["status"] != "True":
        return None
    last = _last_failure(observed)
    if last and last.exit_code == kube_objects.CONFIGURATION_ERROR_EXIT_CODE:
        message = f"{last.message} ({_AGAIN})"
        return Verdict(Reason.CONFIGURATION_ERROR, message, succeeded=False)
    words = last or failed.get("message", "")
    message = f"the evaluator failed too often and is not started again; {words} ({_AGAIN})"
    return Verdict(Reason.EVALUATOR_FAILED, message, succeeded=False)


def _suspended(observed: Observed) -> Verdict | None:
    if not observed.evaluation["spec"].get("suspend"):
        return None
    return Verdict(Reason.SUSPENDED, "spec.suspend is true: set it to false to go on; results are kept")


def _drained(observed: Observed) -> Verdict | None:
    ended = _results(observed).get("ended")
    pod = pod_diagnosis.newest(observed.pods)
    if (
        not ended
        or pod is None
        or pod_diagnosis.has_failed(pod)
        or not pod_diagnosis.has_begun_before(pod, ended["at"])
    ):
        return None
    message = "everything is evaluated, and the evaluator is ending"
    return Verdict(Reason.EVALUATOR_DRAINED, message, is_ready=bool(_evaluated(observed)))


def _running(observed: Observed) -> Verdict | None:
    if not any(pod_diagnosis.is_ready(pod) or pod_diagnosis.has_succeeded(pod) for pod in observed.pods):
        return None
    if observed.evaluation["spec"].get("readyWhen") != "FirstEvaluation":
        return Verdict(Reason.EVALUATOR_RUNNING, "the evaluator watches for checkpoints", is_ready=True)
    if _evaluated(observed):
        return Verdict(Reason.EVALUATED, "the evaluator runs, and a checkpoint has been evaluated", is_ready=True)
    message = "the evaluator runs; no checkpoint has been evaluated yet"
    return Verdict(Reason.WAITING_FOR_FIRST_EVALUATION, message)


def _crashed(observed: Observed) -> Verdict | None:
    last = _last_failure(observed)
    if last is None:
        return None
    if last.exit_code == kube_objects.CONFIGURATION_ERROR_EXIT_CODE:
        return Verdict(Reason.CONFIGURATION_ERROR, last.message, is_progressing=True)
    count = (observed.job or {}).get("status", {}).get("failed", 1)
    message = (
        f"the evaluator ended with {last} "
        f"(failure {count}, given up after {BACKOFF_LIMIT + 1}; it is started again with growing delays)"
    )
    return Verdict(Reason.EVALUATOR_CRASHED, message, is_progressing=True)


def _in_trouble(observed: Observed) -> Verdict | None:
    pod = pod_diagnosis.newest([pod for pod in observed.pods if not pod_diagnosis.is_over(pod)])
    trouble = pod_diagnosis.trouble_of(pod, observed.warnings) if pod else _pods_refused(observed)
    return Verdict(trouble.reason, trouble.message, is_progressing=True) if trouble else None


def _pods_refused(observed: Observed) -> pod_diagnosis.Trouble | None:
    refused = [warned for warned in observed.warnings if warned.reason == "FailedCreate"]
    if not refused:
        return None
    message = f"the cluster refuses the evaluator's pod: {refused[-1].message}"
    return pod_diagnosis.Trouble(Reason.PODS_REFUSED, message)


def _pod_starting(observed: Observed) -> Verdict | None:
    pod = pod_diagnosis.newest([pod for pod in observed.pods if not pod_diagnosis.is_over(pod)])
    if pod is None:
        return None
    if kube_objects.is_being_deleted(pod):
        return _starting("the evaluator's pod is being stopped; another one takes its place")
    if pod.get("status", {}).get("phase") == "Running":
        return _starting("the evaluator builds the model, or waits for the directory spec.checkpoints.path to appear")
    return _starting(_STARTING)


CHECKS: tuple[Check, ...] = (
    _refused,
    _replacing,
    _completed,
    _failed,
    _suspended,
    _drained,
    _running,
    _in_trouble,
    _crashed,
    _pod_starting,
)
"""What decides on Ready, in this order."""


_STARTING = "the evaluator's pod is starting"

_AGAIN = "to run again, change the spec or recreate the resource"

_ENDINGS = {
    Reason.TRAINING_FINISHED: "training has finished",
    Reason.MAX_EVALUATIONS: "spec.completion.maxEvaluations is reached",
    Reason.NO_CHECKPOINT_TIMEOUT: "no checkpoint has come for spec.completion.noCheckpointTimeoutSeconds",
}


def _starting(message: str) -> Verdict:
    return Verdict(Reason.EVALUATOR_STARTING, message, is_progressing=True)


def _results(observed: Observed) -> Object:
    found: Object = observed.evaluation.get("status", {}).get("results", {})
    return found


def _evaluated(observed: Observed) -> int:
    return int(_results(observed).get("counts", {}).get("evaluated", 0))


def _why_none(results: Object) -> str:
    """Return what became of the last checkpoint; without one, the place to look for it."""
    for settled in results.get("history", [])[:1]:
        return (
            f"{settled['checkpoint']} {settled['outcome']} ({settled.get('reason', '-')}): {settled.get('message', '')}"
        )
    return "none is complete in the directory that spec.checkpoints names"


def _summary(results: Object) -> str:
    latest = results.get("latest", {})
    step = f" at step {latest['step']}" if "step" in latest else ""
    scores = ", ".join(f"{metric['name']}={metric['value']}" for metric in latest.get("metrics", []))
    score = latest.get("score") or scores or "no score"
    count = results["counts"]["evaluated"]
    return f"{count} evaluated, the last {latest.get('checkpoint', 'unknown')}{step}: {score}"


def _last_failure(observed: Observed) -> pod_diagnosis.Failure | None:
    failed = pod_diagnosis.newest([pod for pod in observed.pods if pod_diagnosis.has_failed(pod)])
    return pod_diagnosis.failure_of(failed) if failed else None
