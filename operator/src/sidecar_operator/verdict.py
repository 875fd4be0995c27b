"""How an evaluation stands: ready, starting, in trouble, or ended, decided from everything that one pass has observed.

`reconcile` gathers an `Observed`, calls `decide`, and reports the verdict through `status`. Pure. The decision is an
ordered tuple of small checks: the first that returns a verdict decides, so the tuple reads as the specification of
Ready.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sidecar_operator import foreign_suspend, names
from sidecar_operator.conditions import Reason, Type
from sidecar_operator.evaluator_reports import OBSTRUCTING, problem_of, silence_of
from sidecar_operator.kube_objects import Job, Pod, WarningEvent, format_time
from sidecar_operator.pod_diagnosis import (
    Failure,
    Trouble,
    disruption_of,
    failure_of,
    has_ended_well,
    has_failed,
    newest,
    newest_live,
    trouble_of,
)
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.restarts import FAILURE_LIMIT, is_misconfigured, job_has_failed
from sidecar_operator.result_messages import RUN_AGAIN, outcome, summary, why_none
from sidecar_operator.runs import Run
from sidecar_operator.training_state import Training


@dataclass(frozen=True)
class Observed:
    """Everything that one pass has seen of a resource."""

    evaluation: SidecarEvaluation
    job: Job | None = None
    """The Job of the run; while the next run waits for its time, the one that failed before it."""
    pods: list[Pod] = field(default_factory=list)
    """Pods of that Job."""
    warnings: list[WarningEvent] = field(default_factory=list)
    """Warning events of the Job without a pod, or of the pod that is being created, oldest first."""
    is_replacing: bool = False
    """A Job of an earlier spec or run, or a pod of one, still exists."""
    refusal: str | None = None
    """Why a child could not be applied, where the API server refused it."""
    error: str | None = None
    """What the API server answers instead of doing what the pass asks for, where it has done so several times."""
    training: Training | None = None
    now: datetime | None = None
    """When it was observed."""
    run: Run | None = None
    """The run that the resource asks for."""
    restart_problem: str = ""
    """What is wrong with a request to run again."""
    next_run: Run | None = None
    """The run that follows a failed one, once its time has come; None where none has failed, or it was the last."""
    awaits_training: bool = False
    """The evaluator is not started before the training."""

    @property
    def live_pod(self) -> Pod | None:
        """The newest pod that runs or may run."""
        return newest_live(self.pods)

    @property
    def failed_pod(self) -> Pod | None:
        """The newest pod that failed by itself."""
        return newest(pod for pod in self.pods if has_failed(pod))


@dataclass(frozen=True)
class Verdict:
    """How the evaluation stands: the common source of Ready, Finished, Succeeded, Reconciling and Stalled."""

    reason: Reason
    message: str
    is_ready: bool = False
    is_progressing: bool = False
    succeeded: bool | None = None
    """None until the evaluation has ended."""
    runs_again: bool = False
    """Whether the run, whose evaluator has ended well, is followed by another one under the same spec."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is evaluated under this spec."""
        return self.succeeded is not None


Check = Callable[[Observed], Verdict | None]


def decide(observed: Observed) -> Verdict:
    """Return how the evaluation stands."""
    verdicts = (check(observed) for check in CHECKS)
    return next((verdict for verdict in verdicts if verdict), _starting(_STARTING))


def _failing(observed: Observed) -> Verdict | None:
    """Report an error of the API server; it ends nothing, and an evaluator that runs stays ready."""
    if observed.error is None:
        return None
    return _running(observed) or Verdict(Reason.API_SERVER_ERROR, observed.error, is_progressing=True)


def _refused(observed: Observed) -> Verdict | None:
    if observed.refusal is None:
        return None
    return Verdict(Reason.REFUSED_BY_API_SERVER, observed.refusal, is_progressing=True)


def _replacing(observed: Observed) -> Verdict | None:
    if not observed.is_replacing:
        return None
    message = "the earlier evaluator is being stopped, the new one starts afterwards; results are kept"
    return Verdict(Reason.REPLACING_JOB, message, is_progressing=True)


def _completed(observed: Observed) -> Verdict | None:
    if observed.job is None or not (observed.job.has_true("Complete") or any(map(has_ended_well, observed.pods))):
        return None
    results = observed.evaluation.results
    reason = next((reason for reason in _ENDINGS if reason == results.end_reason), Reason.COMPLETED)
    if reason is Reason.TRAINING_FINISHED and (unfinished := _on_earlier_training(observed)):
        return unfinished
    if not results.evaluated_count:
        message = f"{_ENDINGS[reason]}, but no checkpoint could be evaluated: {why_none(observed.evaluation)}"
        return Verdict(Reason.NO_EVALUATION, message, succeeded=False)
    return Verdict(reason, f"{_ENDINGS[reason]}; {summary(results)}", is_ready=True, succeeded=True)


def _on_earlier_training(observed: Observed) -> Verdict | None:
    """Return the verdict on an evaluator that ended on a training which is not, or may not be, the one to evaluate."""
    training, results = observed.training, observed.evaluation.results
    if training is None:
        return None
    if training.is_followed_after(results.ended_at):
        if not training.has_started and not observed.evaluation.starts_immediately:
            message = f"the evaluator ended on an earlier {training.ref}, and starts again once the present one runs"
            return Verdict(Reason.WAITING_FOR_TRAINING, f"{message}; {training.message}", is_progressing=True)
        message = f"the evaluator ended on an earlier {training.ref}; it is started again for the one that exists now"
        return Verdict(Reason.REPLACING_JOB, message, is_progressing=True, runs_again=True)
    if results.evaluated_count or results.history or not training.had_ended_before(observed.evaluation.created_at):
        return None
    message = (
        f"{training.ref} had ended at {training.finished_at}, before this resource was made, and left no checkpoint "
        f"in directory {observed.evaluation.spec['checkpoints']['path']!r} of the source; the evaluator is started "
        "again once another object of this name exists: create the training anew, or delete this resource"
    )
    return Verdict(Reason.TRAINING_ENDED_BEFORE, message, is_progressing=True)


def _failed(observed: Observed) -> Verdict | None:
    job = observed.job
    if job is None or not job_has_failed(job, observed.pods) or observed.next_run is not None:
        return None
    condition = job.condition("Failed")
    words = condition.message if condition else ""
    if is_misconfigured(job, observed.pods):
        error = _configuration_error(observed, words)
        return Verdict(Reason.CONFIGURATION_ERROR, f"{error} ({RUN_AGAIN})", succeeded=False)
    cause = _last_failure(observed) or words or "its Job failed without a message"
    message = (
        f"the evaluator failed {FAILURE_LIMIT} times without settling a checkpoint and is not started again; {cause} "
        f"({_log_hint(observed)}; {RUN_AGAIN})"
    )
    return Verdict(Reason.EVALUATOR_FAILED, message, succeeded=False)


def _configuration_error(observed: Observed, words_of_job: str) -> str:
    """Return what the pod with the configuration error said; the Job's own words where that pod is gone."""
    pod = newest(pod for pod in observed.pods if failure_of(pod).exit_code == names.CONFIGURATION_ERROR_EXIT_CODE)
    if pod is not None:
        return failure_of(pod).message
    return (
        "the evaluator ended with a configuration error, and its pod with the message is gone: "
        f"{words_of_job or 'its Job has no message'}; run `sidecar-evaluator check` with the same image and code"
    )


def _suspended(observed: Observed) -> Verdict | None:
    if not observed.evaluation.is_suspended:
        return None
    return Verdict(Reason.SUSPENDED, "spec.suspend is true: set it to false to go on; results are kept")


def _restarting(observed: Observed) -> Verdict | None:
    run = observed.next_run
    if run is None:
        return None
    failure, said_before = _last_failure(observed), observed.evaluation.condition(Type.READY)
    is_recorded = observed.evaluation.run.attempt == run.attempt
    if failure is None and is_recorded and said_before and said_before.reason == Reason.EVALUATOR_CRASHED:
        return Verdict(Reason.EVALUATOR_CRASHED, said_before.message, is_progressing=True)  # its pod is deleted
    cause = f"the evaluator ended with {failure} ({_log_hint(observed)})" if failure else "the evaluator was stopped"
    start = f"it is started again at {format_time(run.starts_at)}" if run.starts_at else "it is started again"
    counted = f"; {run.failures} failures of {FAILURE_LIMIT} without settling a checkpoint" if run.failures else ""
    message = f"{cause}; {start}, restart {run.attempt}{counted}"
    return Verdict(Reason.EVALUATOR_CRASHED, message, is_progressing=True)


def _awaiting_training(observed: Observed) -> Verdict | None:
    if not observed.awaits_training or observed.training is None:
        return None
    message = (
        f"the evaluator is started once {observed.training.ref} runs (spec.startWhen: TrainingStarted); "
        f"{observed.training.message}"
    )
    return Verdict(Reason.WAITING_FOR_TRAINING, message, is_progressing=True)


def _resumed_by_other(observed: Observed) -> Verdict | None:
    trouble = foreign_suspend.resumed(observed.job)
    return Verdict(trouble.reason, trouble.message) if trouble else None


def _suspended_by_other(observed: Observed) -> Verdict | None:
    trouble = foreign_suspend.suspended(observed.job)
    return Verdict(trouble.reason, trouble.message, is_progressing=True) if trouble else None


def _drained(observed: Observed) -> Verdict | None:
    results, pod = observed.evaluation.results, newest(observed.pods)
    if pod is None or has_failed(pod) or pod.started_at is None or results.ended_at is None:
        return None
    if pod.started_at > results.ended_at:
        return None
    message = "everything is evaluated, and the evaluator is ending"
    return Verdict(Reason.EVALUATOR_DRAINED, message, is_ready=bool(results.evaluated_count))


def _obstructed(observed: Observed) -> Verdict | None:
    problem = problem_of(observed.evaluation, observed.pods)
    if problem is None or problem.reason not in OBSTRUCTING or newest_live(observed.pods) is None:
        return None
    return Verdict(problem.reason, problem.message, is_progressing=True)


def _scoreless(observed: Observed) -> Verdict | None:
    results = observed.evaluation.results
    if not _is_running(observed) or results.evaluated_count or not results.counts.get("failed"):
        return None
    message = (
        f"the evaluator runs, but no checkpoint could be evaluated so far, {results.counts['failed']} failed; "
        f"the last: {outcome(results.last_settled)} ({RUN_AGAIN})"
    )
    return Verdict(Reason.CHECKPOINTS_FAILED, message, is_progressing=True)


def _running(observed: Observed) -> Verdict | None:
    if not _is_running(observed):
        return None
    problem, last = problem_of(observed.evaluation, observed.pods), observed.evaluation.results.last_settled
    but = f"; {problem.message}" if problem else ""
    but += f"; {outcome(last)}" if last.outcome == "failed" else ""
    if observed.evaluation.ready_when != "FirstEvaluation":
        return Verdict(Reason.EVALUATOR_RUNNING, f"the evaluator watches for checkpoints{but}", is_ready=True)
    if observed.evaluation.results.evaluated_count:
        return Verdict(Reason.EVALUATED, "the evaluator runs, and a checkpoint has been evaluated", is_ready=True)
    message = f"the evaluator runs; no checkpoint has been evaluated yet{but}"
    return Verdict(Reason.WAITING_FOR_FIRST_EVALUATION, message)


def _is_running(observed: Observed) -> bool:
    return any(pod.is_ready or pod.phase == "Succeeded" for pod in observed.pods)


def _silent(observed: Observed) -> Verdict | None:
    pod, now = observed.live_pod, observed.now
    silence = silence_of(observed.evaluation, pod, now) if pod and now else None
    return Verdict(silence.reason, silence.message, is_progressing=True) if silence else None


def _in_trouble(observed: Observed) -> Verdict | None:
    pod = observed.live_pod
    trouble = trouble_of(pod, observed.warnings) if pod else _pods_refused(observed)
    return Verdict(trouble.reason, trouble.message, is_progressing=True) if trouble else None


def _pods_refused(observed: Observed) -> Trouble | None:
    refusals = [warning.message for warning in observed.warnings if warning.reason == "FailedCreate"]
    if not refusals:
        return None
    message = (
        f"the API server refuses the evaluator's pod in namespace {observed.evaluation.namespace}: {refusals[-1]}; "
        "change the quota or policy that this names, or spec.evaluator"
    )
    return Trouble(Reason.PODS_REFUSED, message)


def _disrupted(observed: Observed) -> Verdict | None:
    last = newest(pod for pod in observed.pods if pod.phase == "Failed")
    cause = disruption_of(last) if last and not has_failed(last) else ""
    if last is None or not cause:
        return None
    message = f"the cluster ended the evaluator's pod {last.name}, and starts another: {cause}"
    return Verdict(Reason.EVALUATOR_DISRUPTED, message, is_progressing=True)


def _crashed(observed: Observed) -> Verdict | None:
    failure = _last_failure(observed)
    if failure is None:
        return None
    if failure.exit_code == names.CONFIGURATION_ERROR_EXIT_CODE:
        return Verdict(Reason.CONFIGURATION_ERROR, failure.message, is_progressing=True)
    count = (observed.job and observed.job.failed_pods) or 1
    message = (
        f"the evaluator ended with {failure} ({_log_hint(observed)}; failure {count} of its Job; it is started again "
        f"with growing delays, and given up after {FAILURE_LIMIT} failures without settling a checkpoint)"
    )
    return Verdict(Reason.EVALUATOR_CRASHED, message, is_progressing=True)


def _pod_starting(observed: Observed) -> Verdict | None:
    pod = observed.live_pod
    if pod is None:
        return None
    if pod.is_being_deleted:
        return _starting("the evaluator's pod is being stopped; a new one replaces it")
    if pod.phase == "Running":
        return _starting("the evaluator builds the model, or waits for the directory spec.checkpoints.path to appear")
    return _starting(_STARTING)


CHECKS: tuple[Check, ...] = (
    _failing,
    _replacing,
    _completed,
    _failed,
    _refused,
    _resumed_by_other,
    _suspended,
    _restarting,
    _awaiting_training,
    _suspended_by_other,
    _drained,
    _silent,
    _obstructed,
    _scoreless,
    _running,
    _in_trouble,
    _disrupted,
    _crashed,
    _pod_starting,
)
"""What decides on Ready, in this order."""


_STARTING = "the evaluator's pod is starting"

_ENDINGS = {
    Reason.TRAINING_FINISHED: "training has finished",
    Reason.MAX_EVALUATIONS: "the number of a checkpoint has reached spec.completion.maxEvaluations",
    Reason.NO_CHECKPOINT_TIMEOUT: "no checkpoint has come for spec.completion.noCheckpointTimeoutSeconds",
    Reason.COMPLETED: "the evaluator has finished",
}
"""What each end means; the reasons but the last are those of `status.results.ended`."""


def _starting(message: str) -> Verdict:
    return Verdict(Reason.EVALUATOR_STARTING, message, is_progressing=True)


def _last_failure(observed: Observed) -> Failure | None:
    return failure_of(observed.failed_pod) if observed.failed_pod else None


def _log_hint(observed: Observed) -> str:
    """Return the command that shows the log of the failed pod; where the pod is gone, what became of its Job."""
    namespace = observed.evaluation.namespace
    if pod := observed.failed_pod:
        return f"read `kubectl logs {pod.name} -n {namespace}`"
    return f"read `kubectl describe job {observed.job.name if observed.job else ''} -n {namespace}`"
