"""A Job that fails, from pass to pass: when the next one comes, and that nothing of it is forgotten."""

from datetime import timedelta

import pytest

from sidecar_operator import names
from sidecar_operator.kube_objects import JsonObject
from unit.operator.support.samples import condition, held_open, pod, terminated
from unit.operator.support.world import READY_POD, World

FAILED_AT = "2026-01-02T03:04:00Z"


def fail(world: World, failures: int = 7) -> JsonObject:
    """Let the Job fail as Kubernetes does it, after this many failures of the evaluator itself."""
    job = world.client.only("Job")
    for number in range(failures):
        crashed: JsonObject = {"phase": "Failed", "containerStatuses": [terminated(1, "boom")]}
        world.client.put(pod(job, f"{job['metadata']['name']}-{number}", **crashed))
    failed = condition("Failed", reason="BackoffLimitExceeded") | {"lastTransitionTime": FAILED_AT}
    world.job_status(conditions=[failed])
    return job


def collect(world: World, job: JsonObject) -> None:
    """Remove a Job that is being deleted, with its pods."""
    for child in [child for child in world.client.of_kind("Pod") if owner(child) == job["metadata"]["uid"]]:
        world.client.remove(child)
    world.client.remove(job)


def owner(child: JsonObject) -> str:
    uid: str = child["metadata"]["ownerReferences"][0]["uid"]
    return uid


def settle(world: World, count: int) -> None:
    """Publish results as the evaluator does."""
    stored = world.client.only(names.KIND)
    results = {"counts": {"evaluated": count}}
    world.client.put({**stored, "status": {**stored["status"], "results": results}})


async def test_a_job_that_failed_is_followed_by_another_after_a_delay(world: World) -> None:
    await world.turn()
    job = fail(world, failures=3)
    assert await world.turn() == 5  # it failed 5 s ago; the status is written before anything is deleted
    assert world.client.writes == ["status", "event"]
    assert await world.turn() == 5
    assert world.client.calls == []
    assert world.reason() == "EvaluatorCrashed"
    world.now += timedelta(seconds=5)
    await world.turn()
    assert world.client.only("Job")["metadata"]["deletionTimestamp"]
    collect(world, job)
    await world.turn()
    followed = world.client.only("Job")
    assert followed["metadata"]["annotations"][names.ATTEMPT_ANNOTATION] == "1"
    assert followed["metadata"]["name"] != job["metadata"]["name"]
    assert world.status["run"]["failures"] == 3
    assert world.reason("Finished") == "NotFinished"


async def fail_and_follow(world: World, failures: int) -> None:
    job = fail(world, failures)
    await world.turn()
    world.now += timedelta(minutes=5)
    await world.turn()
    collect(world, job)
    await world.turn()


async def test_restarts_of_the_operator_forget_no_failure(world: World) -> None:
    await world.turn()
    for _ in range(2):
        await fail_and_follow(world, failures=3)
        world = World(world.client, now=world.now)
    assert world.status["run"]["failures"] == 6
    fail(world, failures=1)
    await world.turn()
    assert world.reason("Stalled") == "EvaluatorFailed"
    assert await world.turn() is None


async def test_as_long_as_checkpoints_are_settled_no_number_of_failures_is_the_end(world: World) -> None:
    await world.turn()
    for count in range(1, 6):
        settle(world, count)
        await fail_and_follow(world, failures=7)
        assert world.status["run"]["failures"] == 0
        assert world.status["run"]["attempt"] == count
    assert world.reason("Finished") == "NotFinished"


async def test_results_that_the_cache_has_not_seen_yet_are_progress_too(world: World) -> None:
    await world.turn()
    fail(world)
    world.client.watch(world.cache)
    settle(world, 1)
    world.client.watch = lambda cache: None  # type: ignore[method-assign]
    await world.turn()
    assert world.reason("Stalled") == "absent"
    assert world.status["run"]["settled"] == 1


@pytest.mark.parametrize("exit_code", [75, 143])
async def test_what_comes_from_outside_is_tried_again_for_ever(world: World, exit_code: int) -> None:
    await world.turn()
    for attempt in range(1, 10):
        job = world.client.only("Job")
        stopped: JsonObject = {"phase": "Failed", "containerStatuses": [terminated(exit_code)]}
        world.client.put(pod(job, f"pod-{attempt}", **stopped))
        await fail_and_follow(world, failures=0)
    assert world.reason("Finished") == "NotFinished"
    assert (world.status["run"]["attempt"], world.status["run"]["failures"]) == (9, 0)


async def test_a_changed_spec_starts_at_once(world: World) -> None:
    await world.turn()
    job = fail(world, failures=3)
    await world.turn()
    world.change(metrics={"primary": "loss"})
    await world.turn()
    assert world.client.only("Job")["metadata"]["deletionTimestamp"]
    collect(world, job)
    await world.turn()
    assert (world.status["run"]["attempt"], world.status["run"]["failures"]) == (0, 0)
    assert world.client.only("Job")


async def end_beside_another_container(world: World, exit_code: int, phase: str = "Running") -> JsonObject:
    """Let the evaluator end in a pod that another container keeps open, or lets fail."""
    await world.turn()
    job = world.client.only("Job")
    world.client.put(pod(job, **held_open(exit_code, "boom") | {"phase": phase}))
    await world.turn()
    return job


@pytest.mark.parametrize(("exit_code", "phase"), [(0, "Running"), (78, "Running"), (0, "Failed")])
async def test_an_end_is_recorded_before_the_pod_that_goes_on_is_stopped(
    world: World, exit_code: int, phase: str
) -> None:
    settle(world, 1)
    job = await end_beside_another_container(world, exit_code, phase)
    assert world.client.writes == ["status", "event", "delete Job"]
    assert world.reason("Finished") == ("ConfigurationError" if exit_code else "Completed")
    await world.turn()
    assert world.client.writes == []
    collect(world, job)
    await world.turn()
    assert world.client.calls == []


async def test_a_restart_of_the_operator_before_the_pod_is_stopped_stops_it(world: World) -> None:
    settle(world, 1)
    job = await end_beside_another_container(world, 0)
    world.client.put({**job, "metadata": {**job["metadata"], "deletionTimestamp": None}})  # as if it had not been sent
    restarted = World(world.client)
    await restarted.turn()
    assert restarted.client.writes == ["delete Job"]


async def test_a_failure_beside_another_container_is_followed_by_another_job(world: World) -> None:
    job = await end_beside_another_container(world, 1)
    assert world.client.writes == ["status", "event", "delete Job"]
    message = world.status["conditions"][0]["message"]
    assert "exit code 1: boom" in message
    collect(world, job)
    assert await world.turn() == 10
    assert world.client.writes == ["status"]  # the name of the Job
    assert world.status["conditions"][0]["message"] == message
    world.now += timedelta(seconds=10)
    await world.turn()
    assert world.client.only("Job")["metadata"]["annotations"][names.ATTEMPT_ANNOTATION] == "1"
    assert (world.status["run"]["failures"], world.reason("Finished")) == (1, "NotFinished")


async def test_an_evaluator_that_works_well_waits_a_minute_at_most_after_the_loss_of_its_pod(world: World) -> None:
    await world.turn()
    job = world.client.only("Job")
    ready = world.client.put(pod(job, **READY_POD))
    settle(world, 1)
    await world.turn()
    world.client.remove(ready)
    await world.turn()
    assert world.reason() == "EvaluatorStarting"
    world.now += timedelta(seconds=59)
    assert await world.turn() == 1
    assert world.client.only("Job") == job
    world.now += timedelta(seconds=1)
    await world.turn()
    assert (world.reason(), world.status["run"]["attempt"], world.status["run"]["settled"]) == ("ReplacingJob", 1, 1)
    await world.turn()
    collect(world, job)
    await world.turn()
    assert world.client.only("Job")["metadata"]["annotations"][names.ATTEMPT_ANNOTATION] == "1"
    world.now += timedelta(seconds=600)
    await world.turn()
    assert world.status["run"]["attempt"] == 1  # nothing was settled since
