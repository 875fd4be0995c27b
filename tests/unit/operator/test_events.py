import pytest

from sidecar_operator.conditions import Condition, Reason, Type, render
from sidecar_operator.events import Transition, transitions
from sidecar_operator.kube_objects import JsonObject, conditions_in
from unit.operator.support.samples import NOW, finished


def ready(reason: Reason, *, status: bool = False) -> list[JsonObject]:
    return render([Condition(Type.READY, reason, "message", status=status)], [], 1, NOW)


def training(reason: Reason, status: bool | None) -> list[JsonObject]:
    return render([Condition(Type.TRAINING_FINISHED, reason, "message", status=status)], [], 1, NOW)


def changes(before: list[JsonObject], after: list[JsonObject]) -> list[Transition]:
    return transitions(conditions_in({"conditions": before}), conditions_in({"conditions": after}))


RUNNING = ready(Reason.EVALUATOR_RUNNING, status=True)
STARTING = ready(Reason.EVALUATOR_STARTING)
UNPULLED = ready(Reason.IMAGE_NOT_PULLED)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], STARTING, []),
        (STARTING, RUNNING, [("Normal", "EvaluatorRunning")]),
        (RUNNING, RUNNING, []),
        (RUNNING, STARTING, []),
        (STARTING, UNPULLED, [("Warning", "ImageNotPulled")]),
        (UNPULLED, UNPULLED, []),
        (UNPULLED, RUNNING, [("Normal", "EvaluatorRunning")]),
        (RUNNING, ready(Reason.SUSPENDED), [("Normal", "Suspended")]),
        (RUNNING, ready(Reason.REPLACING_JOB), [("Normal", "ReplacingJob")]),
        (RUNNING, finished(), [("Normal", "Completed")]),
        (RUNNING, finished(succeeded=False), [("Warning", "EvaluatorFailed")]),
        (finished(), finished(), []),
        ([], training(Reason.TRAINING_RUNNING, status=False), []),
        ([], training(Reason.TRAINING_KIND_UNKNOWN, status=None), [("Warning", "TrainingKindUnknown")]),
        ([], training(Reason.TRAINING_SUCCEEDED, status=True), [("Normal", "TrainingSucceeded")]),
    ],
)
def test_transitions(before: list[JsonObject], after: list[JsonObject], expected: list[tuple[str, str]]) -> None:
    assert [(transition.level, transition.reason) for transition in changes(before, after)] == expected


def test_another_message_is_no_transition() -> None:
    reworded = [{**UNPULLED[0], "message": "another", "lastTransitionTime": "later"}]
    assert changes(UNPULLED, reworded) == []
