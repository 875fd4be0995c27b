import pytest

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Object
from sidecar_operator.status import differs, is_done, report, settled_report
from sidecar_operator.training_state import State, Training
from sidecar_operator.verdict import Observed, Verdict
from unit.operator.support.samples import EARLIER, NOW, evaluation, finished, job
from unit.operator.test_training_state import REF

JOB = "mnist-0a1b2c3d"
RUNNING = Verdict(Reason.EVALUATOR_RUNNING, "it runs", is_ready=True)
STARTING = Verdict(Reason.EVALUATOR_STARTING, "it starts", is_progressing=True)
SUSPENDED = Verdict(Reason.SUSPENDED, "suspended")
SUCCEEDED = Verdict(Reason.COMPLETED, "over", is_ready=True, succeeded=True)
FAILED = Verdict(Reason.EVALUATOR_FAILED, "over", succeeded=False)


def reported(found: Verdict, training: Training | None = None) -> Object:
    owner = evaluation(generation=3)
    return report(Observed(owner, job(owner), training=training), found, NOW)


def states(status: Object) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in status["conditions"]}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (RUNNING, {"Ready": "True", "Finished": "False", "Succeeded": "Unknown"}),
        (STARTING, {"Ready": "False", "Finished": "False", "Succeeded": "Unknown", "Reconciling": "True"}),
        (SUSPENDED, {"Ready": "False", "Finished": "False", "Succeeded": "Unknown"}),
        (SUCCEEDED, {"Ready": "True", "Finished": "True", "Succeeded": "True"}),
        (FAILED, {"Ready": "False", "Finished": "True", "Succeeded": "False", "Stalled": "True"}),
    ],
)
def test_conditions_of_a_verdict(found: Verdict, expected: dict[str, str]) -> None:
    assert states(reported(found)) == expected


def test_everything_carries_the_generation() -> None:
    status = reported(STARTING)
    assert status["observedGeneration"] == 3
    assert {condition["observedGeneration"] for condition in status["conditions"]} == {3}
    assert status["job"] == JOB


def test_the_training_is_reported() -> None:
    status = reported(RUNNING, Training(REF, State.SUCCEEDED, "done", finished_at=EARLIER))
    assert status["training"] == {"state": "Succeeded", "finishedAt": EARLIER, "message": "done"}
    assert states(status)["TrainingFinished"] == "True"


def test_only_a_difference_is_written() -> None:
    status = reported(RUNNING)
    stored = evaluation(status={**status, "results": {"backlog": 1}}, generation=3)
    assert not differs(stored, report(Observed(stored, job(stored)), RUNNING, "later"))
    assert differs(stored, report(Observed(stored, job(stored)), STARTING, NOW))
    assert differs(evaluation(), status)


def test_a_foreign_condition_is_no_difference() -> None:
    status = reported(RUNNING)
    foreign = {**status["conditions"][0], "type": "GatePassed"}
    stored = evaluation(status={**status, "conditions": [foreign, *status["conditions"]]}, generation=3)
    assert not differs(stored, status)


@pytest.mark.parametrize(
    ("generation", "job_name", "done"),
    [
        (1, JOB, True),
        (1, "other", True),  # another operator version renders another Job: nothing is run again
        (2, JOB, True),  # a change that the pod does not see, such as suspend
        (2, "other", False),
    ],
)
def test_an_end_holds_until_the_spec_asks_for_another_run(generation: int, job_name: str, done: bool) -> None:
    stored = evaluation(status={"conditions": finished(), "job": JOB}, generation=generation)
    assert is_done(stored, job_name) is done


def test_a_resource_that_has_not_ended_is_not_done() -> None:
    assert not is_done(evaluation(), JOB)
    assert not is_done(evaluation(status=reported(RUNNING), generation=3), JOB)


def test_after_the_end_only_generation_and_training_move_on() -> None:
    stored = evaluation(status={"conditions": finished(succeeded=False), "job": JOB}, generation=2)
    seen = Observed(stored, training=Training(REF, State.GONE, "gone", finished_at=NOW))
    status = settled_report(seen, NOW)
    assert states(status) == {
        "Ready": "False",
        "Finished": "True",
        "Succeeded": "False",
        "TrainingFinished": "True",
    }
    assert status["job"] == JOB
    assert {condition["observedGeneration"] for condition in status["conditions"]} == {2}
