import pytest

from sidecar_operator.conditions import Condition, Reason, Type, render
from sidecar_operator.events import Transition, event_of, transitions
from sidecar_operator.kube_objects import JsonObject, KubeObject, conditions_in
from unit.operator.support.samples import NOW, evaluation, finished


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
        ([], ready(Reason.WAITING_FOR_TRAINING), [("Normal", "WaitingForTraining")]),
        (RUNNING, ready(Reason.EVALUATOR_DISRUPTED), [("Warning", "EvaluatorDisrupted")]),
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


def test_an_event_names_the_resource_and_its_time() -> None:
    event = event_of(KubeObject(evaluation()), Transition("Warning", "ImageNotPulled", "x" * 5000), 1.5, "host")
    assert event["regarding"]["uid"] == "uid-mnist"
    assert event["eventTime"] == "1970-01-01T00:00:01.500000Z"
    assert (event["type"], event["reason"], len(event["note"])) == ("Warning", "ImageNotPulled", 1000)
