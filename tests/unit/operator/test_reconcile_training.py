"""Passes over a resource whose training is replaced, had ended before, or cannot be read."""

from typing import Any

from sidecar_operator.kube_client import UnavailableError
from sidecar_operator.kube_objects import JsonObject
from unit.operator.support.samples import NOW, TRAINING_REF, condition, training
from unit.operator.support.world import World

REF = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "train"}


def renamed(training_object: JsonObject, uid: str) -> JsonObject:
    """Return another object of the same name."""
    return {**training_object, "metadata": {**training_object["metadata"], "uid": uid}}


def ended_results(**results: Any) -> JsonObject:
    """Return the results of an evaluator that ended because training had."""
    return {"ended": {"reason": "TrainingFinished", "at": NOW}, **results}


async def test_the_evaluator_is_started_again_where_it_ended_on_a_training_that_was_replaced(world: World) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = training(Succeeded="True")
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.client.apply_results(ended_results())
    world.forget_trainings()
    world.client.trainings[TRAINING_REF] = renamed(training(Running="True"), "uid-second")
    assert await world.turn() == 0
    assert world.reason() == "ReplacingJob"
    assert world.reason("Finished") == "NotFinished"
    await world.turn()
    assert "delete Job" in world.client.writes
    world.client.remove(world.client.only("Job"))
    await world.turn()
    assert "create Job" in world.client.writes
    assert world.status["training"]["uid"] == "uid-second"


async def test_a_training_that_had_ended_before_and_left_no_checkpoint_ends_nothing(world: World) -> None:
    world.change(trainingRef=REF)
    last_night = training(Succeeded="True")
    last_night["status"]["conditions"][0]["lastTransitionTime"] = "2025-12-31T00:00:00Z"
    world.client.trainings[TRAINING_REF] = last_night
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.client.apply_results(ended_results())
    await world.turn()
    assert world.reason() == "TrainingEndedBefore"
    assert world.reason("Stalled") == "absent"
    assert world.reason("Finished") == "NotFinished"


async def test_an_end_that_came_with_scores_is_final_even_if_the_training_is_made_anew_at_once(world: World) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = training(Succeeded="True")
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.client.apply_results(ended_results(counts={"evaluated": 1}))
    world.forget_trainings()
    world.client.trainings[TRAINING_REF] = renamed(training(Running="True"), "uid-second")
    await world.turn()
    assert world.reason("Succeeded") == "TrainingFinished"


async def test_a_training_that_cannot_be_read_keeps_nothing_else_waiting(world: World) -> None:
    world.change(trainingRef=REF, startWhen="Immediately")
    world.client.trainings[TRAINING_REF] = UnavailableError(500, "conversion webhook: connection refused")
    await world.turn()
    assert "create Job" in world.client.writes
    assert world.reason("TrainingFinished") == "TrainingUnreadable"
    assert world.status["training"]["state"] == "Pending"


async def test_what_is_remembered_of_failed_jobs_outlives_them_while_the_training_waits(world: World) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = training(Running="True")
    await world.turn()
    world.job_status(conditions=[condition("Failed") | {"lastTransitionTime": NOW}])
    await world.turn()
    run = world.status["run"]
    assert run["attempt"] == 1
    world.forget_trainings()
    world.client.trainings[TRAINING_REF] = training(Running="False")
    world.client.remove(world.client.only("Job"))
    for _ in range(3):
        await world.turn()
    assert world.status["run"] == run
