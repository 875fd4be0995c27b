import pytest

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Job, JsonObject
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.runs import Run
from sidecar_operator.status import differs, is_done, is_settled, report, report_after_end
from sidecar_operator.training_state import Training
from sidecar_operator.training_status import State
from sidecar_operator.verdict import Observed, Verdict
from unit.operator.support.samples import EARLIER, NOW, TRAINING_REF, evaluation, finished, job

JOB = "mnist-0a1b2c3d"
RUN = Run(1, pod_template="0a1b2c3d")
RUNNING = Verdict(Reason.EVALUATOR_RUNNING, "it runs", is_ready=True)
STARTING = Verdict(Reason.EVALUATOR_STARTING, "it starts", is_progressing=True)
SUSPENDED = Verdict(Reason.SUSPENDED, "suspended")
SUCCEEDED = Verdict(Reason.COMPLETED, "over", is_ready=True, succeeded=True)
FAILED = Verdict(Reason.EVALUATOR_FAILED, "over", succeeded=False)


def resource(status: JsonObject | None = None, generation: int = 1) -> SidecarEvaluation:
    return SidecarEvaluation(evaluation(status=status, generation=generation))


def observed(evaluated: SidecarEvaluation, training: Training | None = None) -> Observed:
    return Observed(evaluated, Job(job(evaluated.raw)), training=training)


def reported(verdict: Verdict, training: Training | None = None) -> JsonObject:
    return report(observed(resource(generation=3), training), verdict, NOW)


def states(status: JsonObject) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in status["conditions"]}


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (RUNNING, {"Ready": "True", "Finished": "False", "Succeeded": "Unknown"}),
        (STARTING, {"Ready": "False", "Finished": "False", "Succeeded": "Unknown", "Reconciling": "True"}),
        (SUSPENDED, {"Ready": "False", "Finished": "False", "Succeeded": "Unknown"}),
        (SUCCEEDED, {"Ready": "True", "Finished": "True", "Succeeded": "True"}),
        (FAILED, {"Ready": "False", "Finished": "True", "Succeeded": "False", "Stalled": "True"}),
    ],
)
def test_conditions_of_a_verdict(verdict: Verdict, expected: dict[str, str]) -> None:
    assert states(reported(verdict)) == expected


def test_everything_carries_the_generation() -> None:
    status = reported(STARTING)
    assert status["observedGeneration"] == 3
    assert {condition["observedGeneration"] for condition in status["conditions"]} == {3}
    assert status["job"] == JOB


def test_the_training_is_reported() -> None:
    status = reported(RUNNING, Training(TRAINING_REF, State.SUCCEEDED, "done", finished_at=EARLIER))
    assert status["training"] == {"state": "Succeeded", "finishedAt": EARLIER, "message": "done"}
    assert states(status)["TrainingFinished"] == "True"


def test_only_a_difference_is_written() -> None:
    status = reported(RUNNING)
    stored = resource(status={**status, "results": {"backlog": 1}}, generation=3)
    assert not differs(stored, report(observed(stored), RUNNING, "later"))
    assert differs(stored, report(observed(stored), STARTING, NOW))
    assert differs(resource(), status)


def test_a_foreign_condition_is_no_difference() -> None:
    status = reported(RUNNING)
    foreign = {**status["conditions"][0], "type": "GatePassed"}
    stored = resource(status={**status, "conditions": [foreign, *status["conditions"]]}, generation=3)
    assert not differs(stored, status)


@pytest.mark.parametrize(
    ("generation", "run", "done"),
    [
        (1, RUN, True),
        (1, Run(1, pod_template="another"), True),  # another operator version renders another pod: nothing is run again
        (2, RUN, True),  # a change that the pod does not see, such as suspend
        (2, Run(2, pod_template="another"), False),
        (1, Run(1, restarted_at=NOW, pod_template=RUN.pod_template), False),
    ],
)
def test_an_end_holds_until_the_resource_asks_for_another_run(generation: int, run: Run, done: bool) -> None:
    status = {"observedGeneration": 1, "conditions": finished(), "run": RUN.to_json()}
    assert is_done(resource(status=status, generation=generation), run) is done


@pytest.mark.parametrize(("generation", "restarted_at", "settled"), [(1, "", True), (2, "", False), (1, NOW, False)])
def test_what_has_ended_and_was_not_changed_is_settled(generation: int, restarted_at: str, settled: bool) -> None:
    status = {"observedGeneration": 1, "conditions": finished(), "run": RUN.to_json()}
    assert is_settled(resource(status=status, generation=generation), restarted_at) is settled
    assert not is_settled(resource(status={**status, "conditions": []}, generation=1), "")


def test_a_resource_that_has_not_ended_is_not_done() -> None:
    assert not is_done(resource(), RUN)
    assert not is_done(resource(status=reported(RUNNING), generation=3), RUN)


@pytest.mark.parametrize("next_run", [None, Run(3, attempt=1)])
def test_the_run_is_recorded_and_the_one_that_follows_in_its_place(next_run: Run | None) -> None:
    evaluated = resource(generation=3)
    status = report(Observed(evaluated, run=Run(3), next_run=next_run), STARTING, NOW)
    assert status["run"]["attempt"] == (1 if next_run else 0)


def test_after_the_end_only_generation_and_training_move_on() -> None:
    recorded = {"conditions": finished(succeeded=False), "job": JOB, "run": RUN.to_json()}
    stored = resource(status=recorded, generation=2)
    ended = Observed(stored, training=Training(TRAINING_REF, State.GONE, "gone", finished_at=NOW))
    status = report_after_end(ended, NOW)
    assert states(status) == {
        "Ready": "False",
        "Finished": "True",
        "Succeeded": "False",
        "TrainingFinished": "True",
    }
    assert (status["job"], status["run"]) == (JOB, RUN.to_json())
    assert {condition["observedGeneration"] for condition in status["conditions"]} == {2}


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_request_that_cannot_be_answered_is_shown_until_it_is_corrected(has_ended: bool) -> None:
    conditions = finished() if has_ended else []
    stored = resource(status={"observedGeneration": 1, "conditions": conditions, "run": RUN.to_json()})

    def shown(problem: str) -> JsonObject:
        seen_now = Observed(stored, run=RUN, restart_problem=problem)
        return report_after_end(seen_now, NOW) if has_ended else report(seen_now, RUNNING, NOW)

    refused = shown("is 'soon', which is no time")
    assert states(refused)["RestartRefused"] == "True"
    message = refused["conditions"][-1]["message"]
    assert "sidecareval.dev/restartedAt is 'soon'" in message
    assert "kubectl annotate" in message
    stored = resource(status={**refused, "observedGeneration": 1})
    assert "RestartRefused" not in states(shown(""))
