import pytest

from sidecar_operator import names
from sidecar_operator.kube_client import ApiError, ConflictError, RefusedError, UnavailableError
from sidecar_operator.kube_objects import JsonObject, KubeObject
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


def reowned(obj: JsonObject, **reference: object) -> JsonObject:
    """Return the object with another ownerReference, without any if no field is given."""
    references = [reference] if reference else []
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": references}}


EARLIER_ONE = {"kind": names.KIND, "name": KEY.name, "uid": "uid-of-the-earlier-one", "controller": True}
SOMEBODY: list[JsonObject] = [
    {},
    {"kind": names.KIND, "name": "other", "uid": "uid-other", "controller": True},
    {"kind": names.KIND, "name": KEY.name, "uid": "uid-mnist"},  # an owner, but not in control
]


async def test_a_job_of_an_earlier_resource_of_the_name_is_waited_for(world: World) -> None:
    await world.turn()
    stale = world.client.put(reowned(world.client.only("Job"), **EARLIER_ONE))
    await world.turn()
    assert world.reason() == "ReplacingJob"
    assert world.client.writes == ["status", "event"]  # the garbage collector deletes it
    world.client.remove(stale)
    await world.turn()
    assert KubeObject(world.client.only("Job")).is_owned_by(KubeObject(world.client.only(names.KIND)))


@pytest.mark.parametrize("reference", SOMEBODY, ids=["no owner", "another resource", "no controller"])
async def test_a_job_of_somebody_else_with_our_labels_is_left_alone(world: World, reference: JsonObject) -> None:
    foreign = world.client.put(reowned(job(world.client.only(names.KIND), "theirs"), **reference))
    world.client.put(pod(foreign, **READY_POD))
    await world.turn()
    await world.turn()
    assert world.client.only("Job", "theirs") == foreign
    assert world.reason() == "EvaluatorStarting"
    assert world.status["job"] in {obj["metadata"]["name"] for obj in world.client.of_kind("Job")} - {"theirs"}


@pytest.mark.parametrize(
    "controller", [{}, {"kind": "ReplicaSet", "name": "web", "uid": "uid-web", "controller": True}]
)
async def test_a_pod_of_somebody_else_with_our_labels_blocks_nothing(world: World, controller: JsonObject) -> None:
    world.client.put(reowned(pod(job(world.client.only(names.KIND)), **READY_POD), **controller))
    await world.turn()
    assert "create Job" in world.client.writes
    assert world.reason() == "EvaluatorStarting"


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding"])
async def test_rights_of_an_earlier_resource_of_the_name_are_waited_for(world: World, kind: str) -> None:
    await world.turn()
    stale = world.client.put(reowned(world.client.only(kind), **EARLIER_ONE))
    await world.turn()
    assert world.reason() == "ReplacingJob"
    world.client.remove(stale)
    await world.turn()
    assert KubeObject(world.client.only(kind)).is_owned_by(KubeObject(world.client.only(names.KIND)))


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding", "Job"])
async def test_a_cached_object_of_somebody_else_is_not_taken_over(world: World, kind: str) -> None:
    await world.turn()
    world.client.put(reowned(world.client.only(kind)))
    await world.turn()
    assert f"apply {kind}" not in world.client.writes
    assert world.reason() == "RefusedByAPIServer"


# ------------------------------------------------------------------------------------------------------------ suspend


async def test_what_somebody_else_suspends_stays_suspended_and_is_said(world: World) -> None:
    await world.turn()
    world.job_spec(suspend=True)
    for _ in range(2):
        await world.turn()
        assert world.client.only("Job")["spec"]["suspend"] is True
        assert world.reason() == "SuspendedByOther"
    assert "kubectl patch job" in world.status["conditions"][0]["message"]
    assert world.client.writes == []


async def test_a_change_of_the_spec_ends_what_somebody_else_has_suspended(world: World) -> None:
    await world.turn()
    world.job_spec(suspend=True)
    for suspend in (True, False):
        world.change(suspend=suspend)
        await World(world.client).turn()  # an operator that has just started knows no more than the Job tells
    assert world.client.only("Job")["spec"]["suspend"] is False


async def test_a_job_that_has_changed_meanwhile_is_read_and_suspended_by_the_next_pass(world: World) -> None:
    await world.turn()
    world.change(suspend=True)
    world.client.watch(world.cache)
    world.job_spec(parallelism=1)
    world.client.watch = lambda cache: None  # type: ignore[method-assign]
    with pytest.raises(ConflictError, match="Job mnist-"):
        await world.turn()
    await world.turn()
    assert world.client.only("Job")["spec"]["suspend"] is True


async def test_what_somebody_else_resumes_runs_on_and_is_said(world: World) -> None:
    world.change(suspend=True)
    await world.turn()
    world.job_spec(suspend=False)
    await world.turn()
    assert world.client.only("Job")["spec"]["suspend"] is False
    assert world.reason() == "ResumedByOther"


async def test_a_job_whose_labels_are_gone_gets_them_back_and_nothing_else(world: World) -> None:
    await world.turn()
    world.job_spec(suspend=True)
    stored = world.client.only("Job")
    world.client.put({**stored, "metadata": {**stored["metadata"], "labels": {}}})
    world.cache.jobs.remove(stored)
    world.client.watch = lambda cache: None  # type: ignore[method-assign]
    await world.turn()
    assert world.client.only("Job")["metadata"]["labels"] == stored["metadata"]["labels"]
    assert world.client.only("Job")["spec"]["suspend"] is True
    assert world.reason() == "SuspendedByOther"


async def test_a_job_without_its_label_whose_pod_runs_is_not_taken_for_another(world: World) -> None:
    await world.turn()
    stored = world.client.only("Job")
    world.client.put(pod(stored, **READY_POD))
    await world.turn()
    labels = {name: value for name, value in stored["metadata"]["labels"].items() if name != names.NAME_LABEL}
    world.client.put({**stored, "metadata": {**stored["metadata"], "labels": labels}})
    world.cache.jobs.remove(stored)
    world.client.watch = lambda cache: None  # type: ignore[method-assign]
    await world.turn()
    assert world.client.only("Job")["metadata"]["labels"] == stored["metadata"]["labels"]
    assert world.reason() == "EvaluatorRunning"


@pytest.mark.parametrize("kind", ["ServiceAccount", "RoleBinding"])
async def test_a_suspend_comes_before_what_is_refused(world: World, kind: str) -> None:
    await world.turn()
    world.client.remove(world.client.only(kind))
    world.client.refusals[kind] = RefusedError(403, "exceeded quota")
    world.change(suspend=True)
    await world.turn()
    assert world.client.only("Job")["spec"]["suspend"] is True
    assert world.reason() == "RefusedByAPIServer"


@pytest.mark.parametrize("error", [UnavailableError(500, "webhook is down"), RefusedError(403, "exceeded quota")])
async def test_an_end_is_recorded_although_a_right_cannot_be_written(world: World, error: ApiError) -> None:
    await world.turn()
    world.client.remove(world.client.only("Role"))
    world.client.refusals["Role"] = error
    world.job_status(conditions=[condition("Complete")])
    await world.turn()
    assert world.reason("Finished") == "NoEvaluation"


# ---------------------------------------------------------------------------------------------------------- replacing


async def test_a_change_that_is_refused_keeps_the_evaluator_that_runs(world: World) -> None:
    await world.turn()
    running = world.client.only("Job")
    world.client.refusals["Job"] = RefusedError(422, "no such priority class")
    world.change(metrics={"primary": "loss"}, suspend=True)
    await world.turn()
    assert "delete Job" not in world.client.writes
    assert world.client.only("Job")["spec"]["suspend"] is True
    message = world.status["conditions"][0]["message"]
    assert "no such priority class" in message
    assert "earlier spec goes on" in message
    assert world.status["job"] == running["metadata"]["name"]
    world.client.refusals.clear()
    await world.turn()
    assert "delete Job" in world.client.writes


@pytest.mark.parametrize(("used", "is_deleted"), [(1, True), (2, False)])
async def test_a_quota_that_the_running_job_itself_fills_is_no_refusal(
    world: World, used: int, is_deleted: bool
) -> None:
    await world.turn()
    quota = f"exceeded quota: few, requested: count/jobs.batch=1, used: count/jobs.batch={used}, limited: "
    world.client.refusals["Job"] = RefusedError(403, f"{quota}count/jobs.batch=1")
    world.change(metrics={"primary": "loss"})
    await world.turn()
    assert ("delete Job" in world.client.writes) is is_deleted


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
