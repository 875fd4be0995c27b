import pytest

from sidecar_operator import names
from sidecar_operator.kube_client import RefusedError
from sidecar_operator.kube_objects import KubeObject
from sidecar_operator.reconcile import REFUSED_SECONDS, Reconciler
from unit.operator.support.samples import KEY, condition, evaluation, job, pod
from unit.operator.support.world import READY_POD, World


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding", "Job"])
async def test_a_deleted_child_comes_back(world: World, kind: str) -> None:
    await world.turn()
    world.client.remove(world.client.only(kind))
    await world.turn()
    assert f"create {kind}" in world.client.writes
    assert world.client.only(kind)


async def test_an_edited_child_is_put_right(world: World) -> None:
    await world.turn()
    world.client.put({**world.client.only("Role"), "rules": []})
    await world.turn()
    assert world.client.writes == ["apply Role"]
    assert world.client.only("Role")["rules"]


async def test_suspend_and_resume_keep_the_job(world: World) -> None:
    await world.turn()
    name = world.status["job"]
    for suspend, reason in ((True, "Suspended"), (False, "EvaluatorStarting")):
        world.change(suspend=suspend)
        await world.turn()
        assert world.client.only("Job", name)["spec"]["suspend"] is suspend
        assert world.reason() == reason


async def test_a_change_that_the_pod_does_not_see_keeps_the_job(world: World) -> None:
    await world.turn()
    job = world.client.only("Job")
    world.change(readyWhen="FirstEvaluation")
    await world.turn()
    assert world.client.writes == ["patch Job", "status"]
    kept = world.client.only("Job")
    assert kept["metadata"]["uid"] == job["metadata"]["uid"]
    assert kept["metadata"]["annotations"][names.GENERATION_ANNOTATION] == "2"
    await world.turn()
    assert world.client.writes == []


async def test_another_version_of_the_operator_keeps_the_job(world: World) -> None:
    await world.turn()
    job = world.client.only("Job")
    upgraded = World(world.client, image="img:2")
    for _ in range(2):
        await upgraded.turn()
        assert upgraded.client.writes == []
    assert world.client.only("Job") == job


async def test_a_new_default_image_replaces_the_job_when_its_turn_has_come(world: World) -> None:
    await world.turn()
    old = world.client.only("Job")
    upgraded = World(world.client, image="img:2", rollovers=1)
    await upgraded.turn()
    assert upgraded.client.writes == ["status", "event"]  # which run follows is written before anything is deleted
    assert upgraded.reason() == "ReplacingJob"
    await upgraded.turn()
    assert upgraded.client.writes == ["delete Job"]
    upgraded.client.remove(old)
    for _ in range(3):
        await upgraded.turn()
    new = upgraded.client.only("Job")["metadata"]["annotations"]
    assert (new[names.ATTEMPT_ANNOTATION], new[names.DEFAULT_IMAGE_ANNOTATION]) == ("1", "img:2")
    assert upgraded.client.writes == []


async def test_a_completion_is_recorded_by_the_next_version_of_the_operator(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    upgraded = World(world.client, image="img:2", rollovers=5)
    await upgraded.turn()
    assert upgraded.client.writes == ["status", "event"]
    assert upgraded.reason("Finished") == "NoEvaluation"


async def test_a_changed_spec_replaces_the_job_once_its_pod_is_gone(world: World) -> None:
    await world.turn()
    old = world.client.only("Job")
    running = world.client.put(pod(old, **READY_POD))
    world.change(metrics={"primary": "loss"})
    for _ in range(2):
        await world.turn()
        assert world.client.only("Job")["metadata"]["deletionTimestamp"]
        assert world.reason() == "ReplacingJob"
    world.client.remove(old)
    await world.turn()
    assert world.reason() == "ReplacingJob"  # the pod outlives its Job
    world.client.remove(running)
    await world.turn()
    assert world.client.only("Job")["metadata"]["name"] != old["metadata"]["name"]


async def test_a_job_is_created_only_after_a_look_at_the_server(world: World) -> None:
    await world.turn()
    blind = World(world.client)
    world.change(metrics={"primary": "loss"})
    blind.cache.evaluations.put(world.client.only(names.KIND))
    world.client.watch = lambda cache: None  # type: ignore[method-assign]
    await blind.turn()
    assert "delete Job" in blind.client.writes
    assert not {"apply Job", "create Job"} & set(blind.client.writes)


async def test_a_job_of_an_earlier_resource_of_the_name_is_replaced(world: World) -> None:
    await world.turn()
    stale = world.client.only("Job")
    references = [{"uid": "uid-of-the-earlier-one"}]
    world.client.put({**stale, "metadata": {**stale["metadata"], "ownerReferences": references}})
    await world.turn()
    assert world.client.only("Job")["metadata"]["deletionTimestamp"]


@pytest.mark.parametrize("kind", ["ServiceAccount", "RoleBinding", "Job"])
async def test_a_refusal_is_reported_and_tried_again_slowly(world: World, kind: str) -> None:
    world.client.refusals[kind] = RefusedError(403, "exceeded quota")
    assert await world.turn() == REFUSED_SECONDS
    assert world.reason() == world.reason("Reconciling") == "RefusedByAPIServer"
    message = world.status["conditions"][0]["message"]
    assert kind in message
    assert "exceeded quota" in message
    world.client.refusals.clear()
    await world.turn()
    assert world.reason() == "EvaluatorStarting"


def test_the_sample_job_is_owned_as_a_real_one() -> None:
    owner = evaluation()
    assert KubeObject(job(owner)).is_owned_by(KubeObject(owner))


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding", "Job"])
async def test_an_object_of_somebody_else_is_not_taken_over(world: World, kind: str) -> None:
    await world.turn()
    ours = world.client.only(kind)
    metadata = {name: value for name, value in ours["metadata"].items() if name not in {"labels", "ownerReferences"}}
    world.client.put({**ours, "metadata": metadata})
    world.cache.children[kind].remove(ours)
    world.client.calls.clear()
    await Reconciler(world.client, world.cache, "img:1")(KEY)
    assert f"apply {kind}" not in world.client.writes
    assert world.reason() == "RefusedByAPIServer"


async def test_a_pod_of_a_deleted_job_of_the_same_name_is_waited_for(world: World) -> None:
    await world.turn()
    old = world.client.only("Job")
    world.client.put(pod(old, **READY_POD))
    world.client.remove(old)
    await world.turn()
    assert not {"apply Job", "create Job"} & set(world.client.writes)
    assert world.reason() == "ReplacingJob"


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding"])
async def test_a_child_that_the_cache_has_missed_is_read_and_kept(world: World, kind: str) -> None:
    await world.turn()
    world.cache.children[kind].remove(world.client.only(kind))
    world.client.calls.clear()
    await Reconciler(world.client, world.cache, "img:1")(KEY)
    assert world.client.calls[:2] == [f"create {kind}", f"get {kind}"]
    assert world.client.writes == [f"create {kind}"]


async def test_a_child_that_the_cache_has_missed_is_put_right(world: World) -> None:
    await world.turn()
    role = world.client.put({**world.client.only("Role"), "rules": []})
    world.cache.children["Role"].remove(role)
    world.client.calls.clear()
    await Reconciler(world.client, world.cache, "img:1")(KEY)
    assert world.client.calls[:3] == ["create Role", "get Role", "apply Role"]
    assert world.client.only("Role")["rules"]
