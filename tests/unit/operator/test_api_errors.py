import pytest

from sidecar_operator.kube_client import UnavailableError
from sidecar_operator.kube_objects import JsonObject, Key
from sidecar_operator.reconcile import FAILURES_BEFORE_REPORT
from unit.operator.support.samples import TRAINING_REF, condition, pod, training
from unit.operator.support.world import READY_POD, World

REF = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "train"}
WEBHOOK = UnavailableError(500, "Internal error occurred: failed calling webhook")


async def fail_often(world: World) -> None:
    for failures in range(FAILURES_BEFORE_REPORT):
        with pytest.raises(UnavailableError):
            await world.turn(failures)


async def test_an_error_that_persists_is_told_and_clears_by_itself(world: World) -> None:
    world.client.refusals["Job"] = WEBHOOK
    await fail_often(world)
    assert world.reason() == world.reason("Reconciling") == "APIServerError"
    assert "failed calling webhook" in world.status["conditions"][0]["message"]
    assert "Job mnist-" in world.status["conditions"][0]["message"]
    assert world.status["observedGeneration"] == 1
    assert [(event.level, event.reason) for event in world.client.published] == [("Warning", "APIServerError")]
    world.client.refusals.clear()
    await world.turn()
    assert world.reason() == world.reason("Reconciling") == "EvaluatorStarting"


async def test_an_error_beside_an_evaluator_that_runs_leaves_it_ready(world: World) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = training(Running="True")
    await world.turn()
    world.client.put(pod(world.client.only("Job"), **READY_POD))
    await world.turn()
    before = world.status
    world.client.remove(world.client.only("Role"))
    world.client.refusals["Role"] = WEBHOOK
    await fail_often(world)
    assert (world.reason(), world.reason("Reconciling")) == ("EvaluatorRunning", "APIServerError")
    assert (world.status["training"], world.status["job"]) == (before["training"], before["job"])
    assert world.reason("TrainingFinished") == "TrainingRunning"
    assert world.client.published[-1].reason == "APIServerError"
    world.client.refusals.clear()
    await world.turn()
    assert (world.reason(), world.reason("Reconciling")) == ("EvaluatorRunning", "absent")


async def test_an_error_ends_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Key) -> JsonObject:
        raise WEBHOOK

    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    monkeypatch.setattr(world.client, "read_evaluation", fail)
    await fail_often(world)
    assert (world.reason(), world.reason("Finished")) == ("APIServerError", "NotFinished")


async def test_an_error_that_cannot_be_stored_either_stays_the_same_error(world: World) -> None:
    world.client.refusals |= {"Job": WEBHOOK, "status": UnavailableError(0, "no route")}
    with pytest.raises(UnavailableError, match="webhook"):
        await world.turn(FAILURES_BEFORE_REPORT)
