"""What the operator writes into a resource's status: conditions, training, run and Job.

`reconcile` calls it with what a pass has observed and the verdict on it, and writes the result where it differs from
what is stored. Pure. `status.results` belongs to the evaluator and is never part of it.
"""

from sidecar_operator import conditions, consistency, names, runs, training_state
from sidecar_operator.conditions import Condition, Reason, Type
from sidecar_operator.kube_objects import JsonObject, objects_at
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.runs import Run
from sidecar_operator.training_state import Training
from sidecar_operator.verdict import Observed, Verdict

OPERATOR_FIELDS = ("observedGeneration", "conditions", "training", "run", "job", "evaluator")
"""Fields of status that the operator owns."""
IMAGE_ID_LIMIT = 256


def is_settled(evaluation: SidecarEvaluation, restarted_at: str) -> bool:
    """Tell whether the evaluation has ended, and nobody has changed its spec or asked for another run since."""
    is_same_spec = evaluation.observed_generation == evaluation.generation
    return evaluation.has_true(Type.FINISHED) and is_same_spec and evaluation.run.restarted_at == restarted_at


def is_done(evaluation: SidecarEvaluation, run: Run) -> bool:
    """Tell whether the evaluation has ended, and its resource asks for no run but the one that reached the end."""
    finished = evaluation.condition(Type.FINISHED)
    if finished is None or not finished.is_true:
        return False
    return runs.continues(evaluation, run.restarted_at, run.pod_template)


def report(observed: Observed, verdict: Verdict, now: str) -> JsonObject:
    """Return the operator's fields of status, for an evaluation that had not ended before this pass."""
    decided = [*_verdict_conditions(verdict), *_training_conditions(observed.training)]
    if observed.error is not None:
        decided.append(Condition(Type.RECONCILING, Reason.API_SERVER_ERROR, observed.error, status=True))
    elif verdict.is_progressing:
        decided.append(Condition(Type.RECONCILING, verdict.reason, verdict.message, status=True))
    if verdict.has_ended and not verdict.is_ready:
        decided.append(Condition(Type.STALLED, verdict.reason, verdict.message, status=True))
    run = observed.next_run or observed.run
    decided += _restart_conditions(observed.restart_problem)
    if consistent := consistency.condition(observed.evaluation, observed.training):
        decided.append(consistent)
    written = _render(decided, observed, now)
    return _status(observed, written, _job_name(observed), run.to_json() if run else {})


def _job_name(observed: Observed) -> str:
    """Return the Job's name; while a Job is replaced, or its replacement is refused, that of the last one."""
    if observed.job is not None:
        return observed.job.name
    is_last_one_told = observed.is_replacing or observed.refusal is not None
    return observed.evaluation.job_name if is_last_one_told else ""


def report_after_end(observed: Observed, now: str) -> JsonObject:
    """Return the operator's fields of status for an evaluation that had ended: what does not speak of the run."""
    evaluation = observed.evaluation
    kept = [
        {**condition.raw, "observedGeneration": evaluation.generation}
        for condition in evaluation.conditions
        if condition.type not in {Type.TRAINING_FINISHED, Type.RESTART_REFUSED}
    ]
    changing = [*_training_conditions(observed.training), *_restart_conditions(observed.restart_problem)]
    return _status(observed, kept + _render(changing, observed, now), evaluation.job_name, evaluation.run.raw)


def report_error(observed: Observed, verdict: Verdict, now: str) -> JsonObject:
    """Return the operator's fields of status after a pass that failed: what it has not observed stays as stored."""
    evaluation = observed.evaluation
    report_now = report(observed, verdict, now)
    training = [condition.raw for condition in evaluation.conditions if condition.type == Type.TRAINING_FINISHED]
    stored: JsonObject = {
        field: evaluation.status[field] for field in ("training", "job") if field in evaluation.status
    }
    return {**stored, **report_now, "conditions": conditions.of_operator([*report_now["conditions"], *training])}


def differs(evaluation: SidecarEvaluation, status: JsonObject) -> bool:
    """Tell whether writing this status would change what is stored."""
    stored = {**evaluation.status, "conditions": conditions.of_operator(objects_at(evaluation.status, "conditions"))}
    return any(stored.get(field) != status.get(field) for field in OPERATOR_FIELDS)


def _status(observed: Observed, written: list[JsonObject], job_name: str, run: JsonObject) -> JsonObject:
    return {
        "observedGeneration": observed.evaluation.generation,
        "conditions": conditions.of_operator(written),
        **({"training": observed.training.to_json()} if observed.training else {}),
        **({"run": run} if run else {}),
        **({"job": job_name} if job_name else {}),
        **({"evaluator": evaluator} if (evaluator := _evaluator(observed)) else {}),
    }


def _evaluator(observed: Observed) -> JsonObject:
    """Return which pod evaluates and which image it runs; the last one while none runs."""
    pod = observed.live_pod
    if pod is None or not pod.evaluator_image_id:
        return observed.evaluation.evaluator
    return {"pod": pod.name, "imageID": pod.evaluator_image_id[:IMAGE_ID_LIMIT]}


def _render(decided: list[Condition], observed: Observed, now: str) -> list[JsonObject]:
    evaluation = observed.evaluation
    return conditions.render(decided, evaluation.conditions, evaluation.generation, now)


def _verdict_conditions(verdict: Verdict) -> list[Condition]:
    reason, message = verdict.reason, verdict.message
    if not verdict.has_ended:
        reason, message = Reason.NOT_FINISHED, "the evaluation has not ended"
    return [
        Condition(Type.READY, verdict.reason, verdict.message, status=verdict.is_ready),
        Condition(Type.FINISHED, reason, message, status=verdict.has_ended),
        Condition(Type.SUCCEEDED, reason, message, status=verdict.succeeded),
    ]


def _training_conditions(training: Training | None) -> list[Condition]:
    return [training_state.condition(training)] if training else []


def _restart_conditions(problem: str) -> list[Condition]:
    if not problem:
        return []
    message = (
        f"annotation {names.RESTARTED_AT_ANNOTATION} {problem}: set it to the present time, with "
        f'`kubectl annotate sidecarevaluation NAME {names.RESTARTED_AT_ANNOTATION}="$(date -Is)" --overwrite`'
    )
    return [Condition(Type.RESTART_REFUSED, Reason.RESTART_TIME_INVALID, message, status=True)]
