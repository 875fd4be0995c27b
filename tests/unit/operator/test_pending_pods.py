import pytest

from sidecar_operator import pending_pods
from sidecar_operator.kube_objects import JsonObject, WarningEvent
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.seldom_reads import LONGEST_SECONDS
from unit.operator.support.fake_kube_client import FakeKubeClient
from unit.operator.support.samples import condition, evaluation, metadata, waiting

JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": "train"}
UNSCHEDULED = {"conditions": [condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available")]}
UNPULLED = {"containerStatuses": [waiting("ErrImagePull", "no such host")]}
CREATING = {"conditions": [condition("PodScheduled")], "containerStatuses": [waiting("ContainerCreating")]}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def words(client: FakeKubeClient, ref: JsonObject = JOB) -> list[pending_pods.PodWords]:
    resource = SidecarEvaluation(evaluation({"trainingRef": ref}))
    return await pending_pods.PendingPods(client, Clock()).of(resource, 10.0)


def pod(status: JsonObject, name: str = "train-0") -> JsonObject:
    return {"kind": "Pod", "metadata": metadata(name), "status": {"phase": "Pending", **status}}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (UNSCHEDULED, [("train-0", "0/1 nodes are available")]),
        (UNPULLED, [("train-0", "ErrImagePull: no such host")]),
        (CREATING, [("train-0", "Multi-Attach error")]),
        ({"phase": "Running", "conditions": [condition("Ready", "False")]}, [("train-0", pending_pods.NOT_READY)]),
        ({"phase": "Running", "conditions": [condition("Ready")]}, []),
        ({}, []),
    ],
)
async def test_the_words_of_the_cluster_are_read(status: JsonObject, expected: list[tuple[str, str]]) -> None:
    published = [WarningEvent("FailedAttachVolume", "Multi-Attach error"), WarningEvent("Unhealthy", "probe")]
    client = FakeKubeClient(training_pods=[pod(status)], warnings=published)
    assert await words(client) == expected
    assert client.calls[0] == "pods batch.kubernetes.io/job-name=train"


async def test_a_pod_that_does_not_run_is_told_before_one_that_does() -> None:
    running = pod({"phase": "Running"}, "train-1")
    assert await words(FakeKubeClient(training_pods=[pod(UNSCHEDULED), running])) == [
        ("train-0", "0/1 nodes are available")
    ]


async def test_pods_of_an_unknown_kind_are_not_looked_for() -> None:
    client = FakeKubeClient(training_pods=[pod(UNSCHEDULED)])
    assert await words(client, {**JOB, "apiVersion": "example.dev/v1"}) == []
    assert client.calls == []


async def test_they_are_read_seldom() -> None:
    clock, client = Clock(), FakeKubeClient(training_pods=[pod(UNSCHEDULED)])
    resource = SidecarEvaluation(evaluation({"trainingRef": JOB}))
    pods = pending_pods.PendingPods(client, clock)
    for _ in range(3):
        assert await pods.of(resource, LONGEST_SECONDS) == [("train-0", "0/1 nodes are available")]
    assert len(client.calls) == 1
    assert pods.seconds_until_due(resource) == LONGEST_SECONDS
    clock.now += LONGEST_SECONDS
    await pods.of(resource, LONGEST_SECONDS)
    assert len(client.calls) == 2
