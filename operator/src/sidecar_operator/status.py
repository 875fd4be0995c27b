"""What is written into a resource's status by the operator: conditions, training and Job.

`reconcile` calls it with what a pass has observed and the verdict on it, and writes the result where it differs from
what is stored. Pure. `status.results` is the evaluator's and is never part of it.
"""

from sidecar_operator import conditions, kube_objects, training_state
from sidecar_operator.conditions import Condition, Reason, Type
from sidecar_operator.kube_objects import Object
from sidecar_operator.training_state import Training
from sidecar_operator.verdict import Observed, Verdict


def is_done(evaluation: Object, job_name: str) -> bool:
    """Tell whether the evaluation has ended and its spec asks for no other run.

    An end holds for the Job that reached it and for the generation that was seen with it: another operator version
    that would render another Job does not evaluate everything again.
    """
    finished = kube_objects.find_condition(evaluation, Type.FINISHED)
    if finished is None or finished["status"] != "True":
        return False
    same_generation = finished.get("observedGeneration") == evaluation["metadata"].get("generation")
    return bool(same_generation or evaluation["status"].get("job") == job_name)


def report(observed: Observed, found: Verdict, now: str) -> Object:
    """Return the status that the operator owns, for an evaluation that has not ended before this pass."""
    decided = [*_conditions(found), *_training_conditions(observed.training)]
    if found.is_progressing:
        decided.append(Condition(Type.RECONCILING, found.reason, found.message, status=True))
    if found.has_ended and not found.is_ready:
        decided.append(Condition(Type.STALLED, found.reason, found.message, status=True))
    job = {"job": observed.job["metadata"]["name"]} if observed.job else {}
    return _status(observed, conditions.written(decided, *_context(observed, now))) | job


def settled_report(observed: Observed, now: str) -> Object:
    """Return the status of an evaluation that has ended before: only the training may still move on."""
    before = observed.evaluation["status"]
    generation = observed.evaluation["metadata"].get("generation", 0)
    follow_up = conditions.written(_training_conditions(observed.training), *_context(observed, now))
    kept = [
        {**condition, "observedGeneration": generation}
        for condition in before["conditions"]
        if condition["type"] != Type.TRAINING_FINISHED
    ]
    job = {"job": before["job"]} if "job" in before else {}
    return _status(observed, kept + follow_up) | job


def differs(evaluation: Object, status: Object) -> bool:
    """Tell whether writing this status would change what is stored."""
    stored = evaluation.get("status", {})
    own = {**stored, "conditions": conditions.own(stored.get("conditions") or [])}
    return any(own.get(name) != status.get(name) for name in OWN_FIELDS)


OWN_FIELDS = ("observedGeneration", "conditions", "training", "job")
"""Fields of status that the operator owns."""


def _status(observed: Observed, written: list[Object]) -> Object:
    seen = {"training": observed.training.written()} if observed.training else {}
    generation = observed.evaluation["metadata"].get("generation", 0)
    return {"observedGeneration": generation, "conditions": conditions.own(written), **seen}


def _context(observed: Observed, now: str) -> tuple[list[Object], int, str]:
    before = observed.evaluation.get("status", {}).get("conditions") or []
    return before, observed.evaluation["metadata"].get("generation", 0), now


def _conditions(found: Verdict) -> list[Condition]:
    reason, message = found.reason, found.message
    if not found.has_ended:
        reason, message = Reason.NOT_FINISHED, "the evaluation has not ended"
    return [
        Condition(Type.READY, found.reason, found.message, status=found.is_ready),
        Condition(Type.FINISHED, reason, message, status=found.has_ended),
        Condition(Type.SUCCEEDED, reason, message, status=found.succeeded),
    ]


def _training_conditions(followed: Training | None) -> list[Condition]:
    return [training_state.condition(followed)] if followed else []
