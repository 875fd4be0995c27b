from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from sidecar_operator import kube_objects
from sidecar_operator.cache import Store
from sidecar_operator.kube_client import RefusedError, UnavailableError
from sidecar_operator.kube_objects import Object, TrainingRef
from sidecar_operator.pod_diagnosis import Warned
from sidecar_operator.reconcile import (
    POLL_SECONDS,
    PUZZLED_SECONDS,
    REFUSED_SECONDS,
    Reconciler,
    is_part_of,
)
from sidecar_operator.training_state import Absence
from unit.operator.support.fake_kube_client import FakeCluster
from unit.operator.support.samples import KEY, RESULTS, condition, evaluation, job, pod, training, waiting

REF = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "train"}
TRAINING = TrainingRef("kubeflow.org/v1", "TFJob", "team", "train")
READY_POD: Object = {"phase": "Running", "conditions": [condition("Ready")]}
IDENTITY = ["apply ServiceAccount", "apply Role", "apply RoleBinding"]


@dataclass
class World:
    """A cluster with one resource, and the reconciler that serves it."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    store: Store = field(default_factory=Store)
    watched: tuple[tuple[str, str], ...] = (("kubeflow.org/v1", "TFJob"),)

    async def turn(self) -> float | None:
        """Deliver what has happened, and make a pass."""
        self.cluster.watch(self.store)
        now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.cluster.calls.clear()
        return await Reconciler(self.cluster, self.store, "img:1", self.watched, now=lambda: now)(KEY)

    def change(self, **spec: Any) -> None:
        """Change the spec as a user does."""
        known = self.cluster.only(kube_objects.KIND)
        generation = known["metadata"]["generation"] + 1
        changed = {**known, "metadata": {**known["metadata"], "generation": generation}}
        self.cluster.put({**changed, "spec": known["spec"] | spec})

    def job_status(self, **status: Any) -> None:
        """Report on the Job as the Job controller does."""
        self.cluster.put({**self.cluster.only("Job"), "status": status})

    @property
    def status(self) -> Object:
        found: Object = self.cluster.only(kube_objects.KIND)["status"]
        return found

    def reason(self, condition_type: str = "Ready") -> str:
        found = kube_objects.find_condition(self.cluster.only(kube_objects.KIND), condition_type)
        return str(found["reason"]) if found else "absent"


@pytest.fixture
def world() -> World:
    world = World()
    world.cluster.put(evaluation())
    return world


async def test_the_first_pass_creates_everything_and_reports_once(world: World) -> None:
    await world.turn()
    assert world.cluster.writes == [*IDENTITY, "apply Job", "status"]
    assert world.reason() == "EvaluatorStarting"
    assert world.status["job"] == world.cluster.only("Job")["metadata"]["name"]


async def test_a_pass_that_changes_nothing_asks_nothing(world: World) -> None:
    await world.turn()
    world.cluster.put(pod(world.cluster.only("Job"), **READY_POD))
    await world.turn()
    assert await world.turn() is None
    assert world.cluster.calls == []


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding", "Job"])
async def test_a_deleted_child_comes_back(world: World, kind: str) -> None:
    await world.turn()
    world.cluster.remove(world.cluster.only(kind))
    await world.turn()
    assert f"apply {kind}" in world.cluster.writes
    assert world.cluster.only(kind)


async def test_an_edited_child_is_put_right(world: World) -> None:
    await world.turn()
    world.cluster.put({**world.cluster.only("Role"), "rules": []})
    await world.turn()
    assert world.cluster.writes == ["apply Role"]
    assert world.cluster.only("Role")["rules"]


async def test_suspend_and_resume_keep_the_job(world: World) -> None:
    await world.turn()
    name = world.status["job"]
    for suspend, reason in ((True, "Suspended"), (False, "EvaluatorStarting")):
        world.change(suspend=suspend)
        await world.turn()
        assert world.cluster.only("Job", name)["spec"]["suspend"] is suspend
        assert world.reason() == reason


async def test_a_changed_spec_replaces_the_job_once_its_pod_is_gone(world: World) -> None:
    await world.turn()
    old = world.cluster.only("Job")
    running = world.cluster.put(pod(old, **READY_POD))
    world.change(metrics={"primary": "loss"})
    for _ in range(2):
        await world.turn()
        assert world.cluster.only("Job")["metadata"]["deletionTimestamp"]
        assert world.reason() == "ReplacingJob"
    world.cluster.remove(old)
    await world.turn()
    assert world.reason() == "ReplacingJob"  # the pod outlives its Job
    world.cluster.remove(running)
    await world.turn()
    assert world.cluster.only("Job")["metadata"]["name"] != old["metadata"]["name"]


async def test_a_job_is_created_only_after_a_look_at_the_server(world: World) -> None:
    await world.turn()
    blind = World(world.cluster)
    world.change(metrics={"primary": "loss"})
    blind.store.evaluations.put(world.cluster.only(kube_objects.KIND))
    world.cluster.watch = lambda store: None  # type: ignore[method-assign]
    await blind.turn()
    assert "delete Job" in blind.cluster.writes
    assert "apply Job" not in blind.cluster.writes


async def test_a_job_of_an_earlier_resource_of_the_name_is_replaced(world: World) -> None:
    await world.turn()
    stale = world.cluster.only("Job")
    references = [{"uid": "uid-of-the-earlier-one"}]
    world.cluster.put({**stale, "metadata": {**stale["metadata"], "ownerReferences": references}})
    await world.turn()
    assert world.cluster.only("Job")["metadata"]["deletionTimestamp"]


@pytest.mark.parametrize("kind", ["ServiceAccount", "RoleBinding", "Job"])
async def test_a_refusal_is_reported_and_tried_again_slowly(world: World, kind: str) -> None:
    world.cluster.refusals[kind] = RefusedError(403, "exceeded quota")
    assert await world.turn() == REFUSED_SECONDS
    assert world.reason() == world.reason("Reconciling") == "RefusedByAPIServer"
    message = world.status["conditions"][0]["message"]
    assert kind in message
    assert "exceeded quota" in message
    world.cluster.refusals.clear()
    await world.turn()
    assert world.reason() == "EvaluatorStarting"


async def test_a_server_that_cannot_answer_is_no_verdict(world: World) -> None:
    world.cluster.refusals["Job"] = UnavailableError(503, "leader changed")
    with pytest.raises(UnavailableError):
        await world.turn()
    assert world.status == {"observedGeneration": -1}


async def test_the_end_is_decided_on_fresh_results_and_stays(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.cluster.watch(world.store)
    known = world.cluster.only(kube_objects.KIND)
    world.cluster.put({**known, "status": {**known["status"], "results": RESULTS}})
    world.cluster.watch = lambda store: None  # type: ignore[method-assign]
    await world.turn()
    assert "7 evaluated" in world.status["conditions"][0]["message"]
    assert [found.reason for found in world.cluster.published] == ["Completed"]


async def test_what_is_finished_is_not_run_again(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Failed")])
    await world.turn()
    assert world.reason("Stalled") == "EvaluatorFailed"
    world.cluster.remove(world.cluster.only("Job"))
    assert await world.turn() is None
    assert world.cluster.calls == []


async def test_a_changed_spec_runs_a_finished_one_again(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Failed")])
    await world.turn()
    old = world.cluster.only("Job")
    world.change(evaluator={"entrypoint": "other:build"})
    await world.turn()
    world.cluster.remove(old)
    await world.turn()
    assert world.reason("Stalled") == "absent"
    assert world.reason() == "EvaluatorStarting"
    assert world.status["job"] != old["metadata"]["name"]


async def test_a_training_is_followed_to_its_end_and_beyond(world: World) -> None:
    world.change(trainingRef=REF)
    await world.turn()
    assert world.status["training"]["state"] == "Pending"
    for found, state in (
        (training(Running="True"), "Running"),
        (training(Succeeded="True"), "Succeeded"),
        (Absence.NOT_FOUND, "Succeeded"),
    ):
        world.store.trainings.clear()
        world.cluster.trainings[TRAINING] = found
        await world.turn()
        assert world.status["training"]["state"] == state
    assert "get training" not in world.cluster.calls


async def test_a_watched_training_is_read_once(world: World) -> None:
    world.change(trainingRef=REF)
    world.cluster.trainings[TRAINING] = training(Running="True")
    await world.turn()
    world.cluster.put(pod(world.cluster.only("Job"), **READY_POD))
    assert await world.turn() is None
    assert "get training" not in world.cluster.calls


@pytest.mark.parametrize("absence", [Absence.NOT_FOUND, Absence.KIND_UNKNOWN, Absence.FORBIDDEN])
async def test_a_training_without_a_watch_is_polled(world: World, absence: Absence) -> None:
    world.watched = ()
    world.change(trainingRef=REF)
    world.cluster.trainings[TRAINING] = absence
    await world.turn()
    world.cluster.put(pod(world.cluster.only("Job"), **READY_POD))
    assert await world.turn() == POLL_SECONDS
    assert "get training" in world.cluster.calls


async def test_events_tell_what_the_status_of_a_pod_cannot(world: World) -> None:
    await world.turn()
    creating: Object = {"conditions": [condition("PodScheduled")], "containerStatuses": [waiting("ContainerCreating")]}
    world.cluster.put(pod(world.cluster.only("Job"), **creating))
    world.cluster.warned = [Warned("FailedMount", 'configmap "code" not found')]
    assert await world.turn() == PUZZLED_SECONDS
    assert world.reason() == "CodeNotFound"
    assert [found.level for found in world.cluster.published] == ["Warning"]


async def test_events_of_a_job_without_pods_are_read(world: World) -> None:
    world.cluster.warned = [Warned("FailedCreate", "violates PodSecurity")]
    await world.turn()
    await world.turn()
    assert world.reason() == "PodsRefused"


async def test_a_resource_that_is_gone_or_going_is_left_alone(world: World) -> None:
    known = world.cluster.only(kube_objects.KIND)
    world.cluster.put({**known, "metadata": {**known["metadata"], "deletionTimestamp": "now"}})
    assert await world.turn() is None
    assert world.cluster.calls == []
    world.cluster.remove(known)
    assert await world.turn() is None


async def test_a_resource_that_goes_during_a_pass_is_no_error(world: World) -> None:
    world.cluster.watch(world.store)
    world.cluster.remove(world.cluster.only(kube_objects.KIND))
    world.cluster.watch = lambda store: None  # type: ignore[method-assign]
    await world.turn()
    assert world.cluster.writes[-1] == "status"


async def test_a_resource_that_goes_at_its_end_is_no_error(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.cluster.watch(world.store)
    world.cluster.remove(world.cluster.only(kube_objects.KIND))
    world.cluster.watch = lambda store: None  # type: ignore[method-assign]
    await world.turn()
    assert world.cluster.writes == []


async def test_an_event_that_cannot_be_recorded_is_no_failure(world: World) -> None:
    await world.turn()
    world.cluster.refusals["events"] = RefusedError(403, "forbidden")
    world.cluster.put(pod(world.cluster.only("Job"), **READY_POD))
    await world.turn()
    assert world.reason() == "EvaluatorRunning"


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": {"b": 1}}, {"a": None}, False),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}, True),
        ({"a": 1}, None, False),
        ({"kind": "Job", "spec": {"template": {}}}, {"spec": {}}, True),
    ],
)
def test_is_part_of(wanted: Object, found: object, expected: bool) -> None:
    assert is_part_of(wanted, found) is expected


def test_the_sample_job_is_owned_as_a_real_one() -> None:
    owner = evaluation()
    assert kube_objects.is_owned_by(job(owner), kube_objects.uid_of(owner))


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding", "Job"])
async def test_an_object_of_somebody_else_is_not_taken_over(world: World, kind: str) -> None:
    await world.turn()
    ours = world.cluster.only(kind)
    metadata = {name: value for name, value in ours["metadata"].items() if name not in {"labels", "ownerReferences"}}
    world.cluster.put({**ours, "metadata": metadata})
    world.store.children[kind].remove(ours)
    world.cluster.calls.clear()
    await Reconciler(world.cluster, world.store, "img:1")(KEY)
    assert f"apply {kind}" not in world.cluster.writes
    assert world.reason() == "RefusedByAPIServer"


async def test_a_pod_of_a_deleted_job_of_the_same_name_is_waited_for(world: World) -> None:
    await world.turn()
    old = world.cluster.only("Job")
    world.cluster.put(pod(old, **READY_POD))
    world.cluster.remove(old)
    await world.turn()
    assert "apply Job" not in world.cluster.writes
    assert world.reason() == "ReplacingJob"


async def test_a_spec_that_changes_while_the_end_is_decided_gets_another_pass(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.cluster.watch(world.store)
    world.change(completion={"maxEvaluations": 9})
    assert await Reconciler(world.cluster, world.store, "img:1")(KEY) == 0
    assert kube_objects.find_condition(world.cluster.only(kube_objects.KIND), "Finished")["status"] == "False"  # type: ignore[index]


async def test_what_changes_between_reading_and_writing_gets_another_pass(world: World) -> None:
    world.cluster.watch(world.store)
    world.change(suspend=True)
    assert await Reconciler(world.cluster, world.store, "img:1")(KEY) == 0
    await world.turn()
    assert world.reason() == "Suspended"
