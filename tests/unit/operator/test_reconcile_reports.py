"""An evaluator that says nothing, from pass to pass: noticed without an event, and forgotten once it reports."""

from datetime import timedelta
from typing import Any

from sidecar_operator import names
from sidecar_operator.kube_objects import JsonObject
from unit.operator.support.samples import condition, pod, running
from unit.operator.support.world import World

RUNNING_POD: JsonObject = {"phase": "Running", "containerStatuses": [running("2026-01-02T03:04:05Z")]}


def say(world: World, **results: Any) -> None:
    """Publish results as the evaluator does."""
    stored = world.client.only(names.KIND)
    world.client.put({**stored, "status": {**stored["status"], "results": results}})


async def test_an_evaluator_that_does_not_report_within_a_minute_is_noticed_without_an_event(world: World) -> None:
    await world.turn()
    world.client.put(pod(world.client.only("Job"), **RUNNING_POD))
    assert await world.turn() == 60
    assert world.reason() == "EvaluatorStarting"
    world.now += timedelta(seconds=60)
    assert await world.turn() is None
    assert world.reason() == "EvaluatorNotReporting"
    assert world.client.writes[-2:] == ["status", "event"]
    await world.turn()
    assert world.client.calls == []
    say(world, evaluator={"pod": "pod-1"})
    await world.turn()
    assert world.reason() == "EvaluatorStarting"


async def test_a_problem_that_the_evaluator_reports_becomes_a_condition_and_goes_again(world: World) -> None:
    await world.turn()
    world.client.put(pod(world.client.only("Job"), **RUNNING_POD))
    problem = {"reason": "DirectoryMissing", "message": "/checkpoints/run does not exist"}
    say(world, evaluator={"pod": "pod-1"}, problem=problem)
    await world.turn()
    assert world.reason() == world.reason("Reconciling") == "DirectoryMissing"
    say(world, evaluator={"pod": "pod-1"})
    world.client.put(pod(world.client.only("Job"), **RUNNING_POD, conditions=[condition("Ready")]))
    await world.turn()
    assert world.reason() == "EvaluatorRunning"
    assert world.reason("Reconciling") == "absent"


async def test_a_change_of_code_and_image_is_said_once_each_and_the_image_is_recorded(world: World) -> None:
    await world.turn()
    container = running("2026-01-02T03:04:05Z") | {"imageID": "docker.io/img@sha256:new"}
    status = RUNNING_POD | {"containerStatuses": [container], "conditions": [condition("Ready")]}
    world.client.put(pod(world.client.only("Job"), **status))
    say(world, evaluator={"pod": "pod-1", "codeDigest": "sha256:b"}, latest={"codeDigest": "sha256:a"})
    await world.turn()
    assert world.status["evaluator"] == {"pod": "pod-1", "imageID": "docker.io/img@sha256:new"}
    assert world.reason("ResultsConsistent") == "CodeChanged"
    assert world.client.writes == ["status", "event", "event"]  # Ready, and what the results are of
    await world.turn()
    assert world.client.calls == []
    say(world, evaluator={"pod": "pod-1", "codeDigest": "sha256:c"}, latest={"codeDigest": "sha256:a"})
    await world.turn()
    assert world.client.writes == ["status", "event"]
    world.client.remove(world.client.only("Pod"))
    say(world, evaluator={"pod": "pod-1", "codeDigest": "sha256:c"})
    await world.turn()
    assert world.status["evaluator"]["imageID"] == "docker.io/img@sha256:new"
    assert world.reason("ResultsConsistent") == "absent"
