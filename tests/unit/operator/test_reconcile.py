import pytest

from sidecar_operator import names
from sidecar_operator.following import POLL_SECONDS
from sidecar_operator.kube_client import RefusedError, UnavailableError
from sidecar_operator.kube_objects import JsonObject, KubeObject, WarningEvent
from sidecar_operator.reconcile import Reconciler
from sidecar_operator.seldom_reads import LONGEST_SECONDS, SHORTEST_SECONDS
from sidecar_operator.training_state import Absence
from unit.operator.support.samples import (
    EARLIER,
    KEY,
    RESULTS,
    TRAINING_REF,
    condition,
    evaluation,
    metadata,
    pod,
    terminated,
    training,
    waiting,
)
from unit.operator.support.world import READY_POD, TRAINING_SCOPE, World

REF = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "train"}
CHILDREN = ["create ServiceAccount", "create Role", "create RoleBinding", "create Job"]


async def test_the_first_pass_creates_everything_and_reports_once(world: World) -> None:
    await world.turn()
    assert world.client.writes == [*CHILDREN, "status"]
    assert not [call for call in world.client.calls if call.startswith(("get", "list"))]
    assert world.reason() == "EvaluatorStarting"
    assert world.status["job"] == world.client.only("Job")["metadata"]["name"]


async def test_a_pass_that_changes_nothing_asks_nothing(world: World) -> None:
    await world.turn()
    world.client.put(pod(world.client.only("Job"), **READY_POD))
    await world.turn()
    assert await world.turn() is None
    assert world.client.calls == []


async def test_a_server_that_cannot_answer_is_no_verdict(world: World) -> None:
    world.client.refusals["Job"] = UnavailableError(503, "leader changed")
    with pytest.raises(UnavailableError):
        await world.turn()
    assert world.status == {"observedGeneration": -1}


async def test_the_end_is_decided_on_fresh_results_and_stays(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.client.watch(world.cache)
    stored = world.client.only(names.KIND)
    world.client.put({**stored, "status": {**stored["status"], "results": RESULTS}})
    world.client.watch = lambda cache: None  # type: ignore[method-assign]
    await world.turn()
    assert "7 evaluated" in world.status["conditions"][0]["message"]
    assert [transition.reason for transition in world.client.published] == ["Completed"]


MISCONFIGURED = condition("Failed", reason="PodFailurePolicy")


async def test_what_is_finished_is_not_run_again(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[MISCONFIGURED])
    await world.turn()
    assert world.reason("Stalled") == "ConfigurationError"
    world.client.remove(world.client.only("Job"))
    assert await world.turn() is None
    assert world.client.calls == []


async def test_nothing_is_rendered_for_what_is_finished(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.turn()
    world.job_status(conditions=[MISCONFIGURED])
    await world.turn()
    monkeypatch.setattr("sidecar_operator.manifests.render", None)
    assert await world.turn() is None


async def test_a_changed_spec_runs_a_finished_one_again(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[MISCONFIGURED])
    await world.turn()
    old = world.client.only("Job")
    world.change(evaluator={"entrypoint": "other:build"})
    await world.turn()
    world.client.remove(old)
    await world.turn()
    assert world.reason("Stalled") == "absent"
    assert world.reason() == "EvaluatorStarting"
    assert world.status["job"] != old["metadata"]["name"]


@pytest.mark.parametrize("end", [MISCONFIGURED, condition("Complete")])
async def test_an_annotation_runs_a_finished_one_again(world: World, end: JsonObject) -> None:
    await world.turn()
    world.job_status(conditions=[end])
    await world.turn()
    assert KubeObject(world.client.only(names.KIND)).has_true("Finished")
    old = world.client.only("Job")
    world.annotate(EARLIER)
    await world.turn()
    assert (world.reason(), world.reason("Finished")) == ("ReplacingJob", "NotFinished")
    world.client.remove(old)
    await world.turn()
    new = world.client.only("Job")
    assert new["metadata"]["name"] != old["metadata"]["name"]
    assert f"--retry-failed-before={EARLIER}" in new["spec"]["template"]["spec"]["containers"][0]["args"]
    assert world.status["run"]["restartedAt"] == EARLIER
    assert [world.reason(name) for name in ("Ready", "Finished", "Succeeded", "Stalled")] == [
        "EvaluatorStarting", "NotFinished", "NotFinished", "absent",
    ]  # fmt: skip
    world.job_status(conditions=[end])
    await world.turn()
    await world.turn()
    assert world.client.calls == []  # the same request is answered once
    world.annotate("soon")
    await world.turn()
    assert world.reason("RestartRefused") == "RestartTimeInvalid"
    assert [transition.reason for transition in world.client.published][-1] == "RestartTimeInvalid"
    assert KubeObject(world.client.only(names.KIND)).has_true("Finished")


async def test_a_running_one_is_started_again_by_the_annotation(world: World) -> None:
    await world.turn()
    old = world.client.only("Job")
    world.annotate(EARLIER)
    await world.turn()
    assert world.client.only("Job")["metadata"]["deletionTimestamp"]
    world.client.remove(old)
    await world.turn()
    assert world.client.only("Job")["metadata"]["annotations"][names.RESTARTED_AT_ANNOTATION] == EARLIER


async def test_a_training_is_followed_to_its_end_and_beyond(world: World) -> None:
    world.change(trainingRef=REF)
    await world.turn()
    assert world.status["training"]["state"] == "Pending"
    for observed, state in (
        (training(Running="True"), "Running"),
        (training(Succeeded="True"), "Succeeded"),
        (Absence.NOT_FOUND, "Succeeded"),
    ):
        world.forget_trainings()
        world.client.trainings[TRAINING_REF] = observed
        await world.turn()
        assert world.status["training"]["state"] == state


async def test_a_training_is_not_read_again_once_the_evaluation_has_ended_with_it(world: World) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = training(Succeeded="True")
    await world.turn()
    world.job_status(conditions=[condition("Failed", reason="PodFailurePolicy")])
    await world.turn()
    world.forget_trainings()
    assert await world.turn() is None
    assert world.client.calls == []


async def test_a_watched_training_is_read_once(world: World) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = training(Running="True")
    await world.turn()
    world.client.put(pod(world.client.only("Job"), **READY_POD))
    assert await world.turn() is None
    assert "get training" not in world.client.calls


@pytest.mark.parametrize("absence", [Absence.NOT_FOUND, Absence.KIND_UNKNOWN, Absence.FORBIDDEN])
async def test_a_training_without_a_watch_is_polled(world: World, absence: Absence) -> None:
    world.cache.trainings.end_watch(TRAINING_SCOPE)
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = absence
    await world.turn()
    assert await world.turn() == POLL_SECONDS
    assert world.client.calls == ["get training"]


@pytest.mark.parametrize("absence", [Absence.NOT_FOUND, Absence.KIND_UNKNOWN, Absence.FORBIDDEN])
async def test_nothing_is_created_for_a_training_that_cannot_be_read(world: World, absence: Absence) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = absence
    await world.turn()
    assert {write.split()[0] for write in world.client.writes} == {"status", "event"}
    assert world.reason() == "WaitingForTraining"
    assert world.status["training"]["message"] in world.status["conditions"][0]["message"]
    assert "job" not in world.status


WAITS, SUSPENDED = training(Created="True"), training(Suspended="True")
SAYS_NOTHING = training(Ready="True")


@pytest.mark.parametrize("before", [WAITS, SUSPENDED, SAYS_NOTHING])
@pytest.mark.parametrize("started", [training(Running="True"), training(Failed="True"), training(Succeeded="True")])
async def test_the_evaluator_starts_once_the_training_has(
    world: World, before: JsonObject, started: JsonObject
) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = before
    await world.turn()
    assert world.client.of_kind("Job") == []
    world.forget_trainings()
    world.client.trainings[TRAINING_REF] = started
    await world.turn()
    assert world.reason() == "EvaluatorStarting"
    assert world.client.only("Job")


async def test_a_training_that_has_gone_left_checkpoints_to_evaluate(world: World) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = WAITS
    await world.turn()
    world.forget_trainings()
    world.client.trainings[TRAINING_REF] = Absence.NOT_FOUND
    await world.turn()
    assert world.status["training"]["state"] == "Gone"
    assert world.client.only("Job")


async def test_an_evaluator_may_start_before_the_training(world: World) -> None:
    world.change(trainingRef=REF, startWhen="Immediately")
    await world.turn()
    assert world.reason() == "EvaluatorStarting"


async def test_an_evaluator_that_was_started_stays_while_the_training_waits_again(world: World) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = training(Running="True")
    await world.turn()
    old = world.client.only("Job")
    world.forget_trainings()
    world.client.trainings[TRAINING_REF] = WAITS
    await world.turn()
    assert world.reason() == "EvaluatorStarting"
    world.change(evaluator={"entrypoint": "other:build"})
    await world.turn()
    world.client.remove(old)
    await world.turn()
    assert world.reason() == "EvaluatorStarting"
    assert world.client.only("Job")["metadata"]["name"] != old["metadata"]["name"]


NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


async def test_a_training_that_waits_is_explained_by_its_pods(world: World) -> None:
    world.change(trainingRef=REF)
    world.client.trainings[TRAINING_REF] = WAITS
    unschedulable = condition("PodScheduled", "False", "Unschedulable", NO_GPU)
    world.client.training_pods = [
        {"kind": "Pod", "metadata": metadata("train-0"), "status": {"phase": "Pending", "conditions": [unschedulable]}}
    ]
    assert await world.turn() == SHORTEST_SECONDS
    await world.turn()
    assert "pods training.kubeflow.org/job-name=train" in world.client.calls
    assert "Insufficient nvidia.com/gpu" in world.status["training"]["message"]
    assert "Insufficient nvidia.com/gpu" in world.status["conditions"][0]["message"]
    explained = world.status
    world.client.refusals["pods"] = RefusedError(403, "forbidden")
    await world.turn()
    assert world.status == explained
    assert world.client.writes == []


async def test_events_tell_what_the_status_of_a_pod_cannot(world: World) -> None:
    await world.turn()
    creating: JsonObject = {
        "conditions": [condition("PodScheduled")],
        "containerStatuses": [waiting("ContainerCreating")],
    }
    world.client.put(pod(world.client.only("Job"), **creating))
    world.client.warnings = [WarningEvent("FailedMount", 'configmap "code" not found')]
    assert await world.turn() == LONGEST_SECONDS
    assert world.reason() == "CodeNotFound"
    assert [transition.level for transition in world.client.published] == ["Warning"]


async def test_events_of_a_job_without_pods_are_read(world: World) -> None:
    world.client.warnings = [WarningEvent("FailedCreate", "violates PodSecurity")]
    await world.turn()
    await world.turn()
    assert world.reason() == "PodsRefused"


async def test_events_that_cannot_be_read_keep_nothing_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    async def fail(obj: KubeObject) -> list[WarningEvent]:
        reads.append(obj.name)
        raise UnavailableError(503, "the database of events is away")

    monkeypatch.setattr(world.client, "list_warnings", fail)
    reconciler = Reconciler(world.client, world.cache, "img:1", now=lambda: world.now)
    for _ in range(3):
        world.client.watch(world.cache)
        assert await reconciler(KEY) == LONGEST_SECONDS
    assert world.reason() == "EvaluatorStarting"
    assert len(reads) == 1


async def test_a_resource_that_is_gone_or_going_is_left_alone(world: World) -> None:
    stored = world.client.only(names.KIND)
    world.client.put({**stored, "metadata": {**stored["metadata"], "deletionTimestamp": "now"}})
    assert await world.turn() is None
    assert world.client.calls == []
    world.client.remove(stored)
    assert await world.turn() is None


async def test_a_resource_that_goes_during_a_pass_is_no_error(world: World) -> None:
    world.client.watch(world.cache)
    world.client.remove(world.client.only(names.KIND))
    world.client.watch = lambda cache: None  # type: ignore[method-assign]
    await world.turn()
    assert world.client.writes[-1] == "status"


async def test_a_resource_that_goes_at_its_end_is_no_error(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.client.watch(world.cache)
    world.client.remove(world.client.only(names.KIND))
    world.client.watch = lambda cache: None  # type: ignore[method-assign]
    await world.turn()
    assert world.client.writes == []


async def test_an_event_that_cannot_be_recorded_is_no_failure(world: World) -> None:
    await world.turn()
    world.client.refusals["events"] = RefusedError(403, "forbidden")
    world.client.put(pod(world.client.only("Job"), **READY_POD))
    await world.turn()
    assert world.reason() == "EvaluatorRunning"


async def test_a_spec_that_changes_while_the_end_is_decided_gets_another_pass(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.client.watch(world.cache)
    world.change(completion={"maxEvaluations": 9})
    assert await Reconciler(world.client, world.cache, "img:1")(KEY) == 0
    assert not KubeObject(world.client.only(names.KIND)).has_true("Finished")


async def test_a_resource_that_was_made_anew_never_gets_the_end_of_its_predecessor(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Complete")])
    world.client.watch(world.cache)
    world.client.remove(world.client.only(names.KIND))
    world.client.put(evaluation() | {"metadata": {**evaluation()["metadata"], "uid": "uid-anew"}})
    assert await Reconciler(world.client, world.cache, "img:1")(KEY) == 0
    assert world.status == {"observedGeneration": -1}
    assert [stored.uid for stored in world.cache.evaluations] == ["uid-anew"]


async def test_a_resource_that_is_made_anew_just_before_the_write_gets_no_status_of_its_predecessor(
    world: World,
) -> None:
    world.client.watch(world.cache)
    world.client.remove(world.client.only(names.KIND))
    world.client.put(evaluation() | {"metadata": {**evaluation()["metadata"], "uid": "uid-anew"}})
    assert await Reconciler(world.client, world.cache, "img:1")(KEY) == 0
    assert world.status == {"observedGeneration": -1}
    assert [stored.uid for stored in world.cache.evaluations] == ["uid-anew"]


async def test_the_last_words_of_a_pod_are_read_before_the_job_is_given_up(world: World) -> None:
    await world.turn()
    world.job_status(conditions=[condition("Failed", reason="BackoffLimitExceeded")])
    world.client.watch(world.cache)
    failed = pod(world.client.only("Job"), phase="Failed", containerStatuses=[terminated(78, "no module named x")])
    world.client.put(failed)  # its watch event comes after the Job's
    await Reconciler(world.client, world.cache, "img:1")(KEY)
    assert world.reason("Succeeded") == "ConfigurationError"
    assert "no module named x" in KubeObject(world.client.only(names.KIND)).conditions[0].message


async def test_what_changes_between_reading_and_writing_gets_another_pass(world: World) -> None:
    world.client.watch(world.cache)
    world.change(suspend=True)
    assert await Reconciler(world.client, world.cache, "img:1")(KEY) == 0
    await world.turn()
    assert world.reason() == "Suspended"
