from typing import Any

import pytest

from sidecar_operator import pod_diagnosis
from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Pod, WarningEvent
from unit.operator.support.samples import condition, evaluation, job, pod, terminated, waiting


def some_pod(**status: Any) -> Pod:
    return Pod(pod(job(evaluation()), **status))


def unscheduled(message: str) -> dict[str, Any]:
    return {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable", message)]}


PULL = 'Back-off pulling image "img:1": ErrImagePull: not found'


@pytest.mark.parametrize(
    ("status", "reason", "says"),
    [
        (unscheduled('0/1 nodes: persistentvolumeclaim "runs" not found.'), Reason.CLAIM_NOT_FOUND, "runs"),
        (unscheduled("pod has unbound immediate PersistentVolumeClaims"), Reason.CLAIM_NOT_BOUND, "pvc"),
        (unscheduled("0/1 nodes: 1 Insufficient nvidia.com/gpu."), Reason.UNSCHEDULABLE, "nvidia.com/gpu"),
        (unscheduled("has pod using it with ReadWriteOncePod access mode"), Reason.UNSCHEDULABLE, "use a claim with"),
        ({"containerStatuses": [waiting("ErrImagePull", "no such host")]}, Reason.IMAGE_NOT_PULLED, "no such host"),
        ({"containerStatuses": [waiting("ImagePullBackOff", PULL)]}, Reason.IMAGE_NOT_PULLED, ": not found;"),
        ({"initContainerStatuses": [waiting("ImagePullBackOff")]}, Reason.IMAGE_NOT_PULLED, "img:1"),
        ({"containerStatuses": [waiting("InvalidImageName", image="A B")]}, Reason.IMAGE_NAME_INVALID, "A B"),
        (
            {"containerStatuses": [waiting("CreateContainerConfigError", "runAsNonRoot")]},
            Reason.CONTAINER_CONFIGURATION,
            "runAsNonRoot",
        ),
    ],
)
def test_trouble(status: dict[str, Any], reason: Reason, says: str) -> None:
    trouble = pod_diagnosis.trouble_of(some_pod(**status))
    assert trouble is not None
    assert trouble.reason is reason
    assert says in trouble.message


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "SchedulingGated", "wait")]},
        {"phase": "Pending", "containerStatuses": [waiting("ContainerCreating")]},
        {"phase": "Running", "containerStatuses": [{"name": "evaluator", "state": {"running": {}}}]},
    ],
)
def test_no_trouble(status: dict[str, Any]) -> None:
    assert pod_diagnosis.trouble_of(some_pod(**status)) is None


@pytest.mark.parametrize(
    ("warnings", "reason"),
    [
        ([WarningEvent("FailedMount", 'MountVolume.SetUp failed: configmap "code" not found')], Reason.CODE_NOT_FOUND),
        ([WarningEvent("FailedMount", "rpc error: bucket missing")], Reason.VOLUME_NOT_MOUNTED),
        ([WarningEvent("FailedAttachVolume", "Multi-Attach error")], Reason.VOLUME_NOT_MOUNTED),
        ([WarningEvent("FailedCreatePodSandBox", "no CNI")], Reason.SANDBOX_NOT_CREATED),
        (
            [WarningEvent("FailedMount", "old"), WarningEvent("FailedCreatePodSandBox", "new")],
            Reason.SANDBOX_NOT_CREATED,
        ),
        ([WarningEvent("FailedMount", "mount"), WarningEvent("Unhealthy", "probe")], Reason.VOLUME_NOT_MOUNTED),
    ],
)
def test_trouble_that_only_events_show(warnings: list[WarningEvent], reason: Reason) -> None:
    trouble = pod_diagnosis.trouble_of(some_pod(containerStatuses=[waiting("ContainerCreating")]), warnings)
    assert trouble is not None
    assert trouble.reason is reason


@pytest.mark.parametrize(
    ("warning", "advice"),
    [
        (WarningEvent("FailedAttachVolume", "Multi-Attach error for volume"), "access mode ReadWriteMany"),
        (WarningEvent("FailedMount", "rpc error"), "its CSI driver runs"),
    ],
)
def test_the_advice_fits_what_keeps_a_volume_away(warning: WarningEvent, advice: str) -> None:
    trouble = pod_diagnosis.trouble_of(some_pod(containerStatuses=[waiting("ContainerCreating")]), [warning])
    assert trouble is not None
    assert advice in trouble.message


SCHEDULED = condition("PodScheduled")


@pytest.mark.parametrize(
    ("status", "creating"),
    [
        ({"conditions": [SCHEDULED], "containerStatuses": [waiting("ContainerCreating")]}, True),
        ({"conditions": [SCHEDULED], "containerStatuses": [waiting("PodInitializing")]}, True),
        ({"conditions": [SCHEDULED], "containerStatuses": [waiting("ErrImagePull")]}, False),
        ({"conditions": [SCHEDULED]}, False),
        ({"containerStatuses": [waiting("ContainerCreating")]}, False),
    ],
)
def test_being_created(status: dict[str, Any], creating: bool) -> None:
    assert pod_diagnosis.is_being_created(some_pod(**status)) is creating


@pytest.mark.parametrize(
    ("status", "exit_code", "message"),
    [
        ({"containerStatuses": [terminated(78, "no module evaluate\n")]}, 78, "no module evaluate"),
        (
            {"containerStatuses": [terminated(78, "no module evaluate\nput it in code")]},
            78,
            "no module evaluate\nput it in code",
        ),
        ({"containerStatuses": [terminated(1, "INFO starts\nValueError: no\n")]}, 1, "ValueError: no"),
        ({"containerStatuses": [terminated(1)]}, 1, "Error"),
        ({"reason": "Evicted", "message": "disk pressure"}, None, "Evicted: disk pressure"),
        ({}, None, "the pod failed without a message"),
    ],
)
def test_failure(status: dict[str, Any], exit_code: int | None, message: str) -> None:
    assert pod_diagnosis.failure_of(some_pod(**status)) == pod_diagnosis.Failure(exit_code, message)


LOST = terminated(137, "The container could not be located when the pod was terminated", "ContainerStatusUnknown")
FULL_DISK = "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. "
NO_MEMORY = "The node was low on resource: memory. Container evaluator was using 2Gi, request is 512Mi."
UNRESPONSIVE = "Node gpu-1 which was running pod pod-1 is unresponsive"


@pytest.mark.parametrize(
    ("status", "exit_code", "says"),
    [
        (
            {"containerStatuses": [terminated(137, "INFO Evaluation starts", "OOMKilled")]},
            137,
            ["OOMKilled", "spec.evaluator.resources.limits.memory", "INFO Evaluation starts"],
        ),
        ({"containerStatuses": [terminated(137, "", "OOMKilled")]}, 137, ["OOMKilled", "limits.memory"]),
        (
            {"containerStatuses": [terminated(137, "INFO Evaluation starts")]},
            137,
            ["liveness probe", "INFO Evaluation"],
        ),
        (
            {"reason": "Evicted", "message": FULL_DISK, "containerStatuses": [LOST]},
            None,
            ["Evicted", "ephemeral local storage", "raise ephemeral-storage in spec.evaluator.resources"],
        ),
        (
            {"reason": "Evicted", "message": NO_MEMORY, "containerStatuses": [terminated(143, "stopped")]},
            None,
            ["Evicted", "low on resource: memory", "spec.evaluator.resources.requests.memory"],
        ),
        ({"reason": "NodeLost", "message": UNRESPONSIVE, "containerStatuses": [LOST]}, None, ["NodeLost", "gpu-1"]),
        (
            {"conditions": [condition("DisruptionTarget", reason="DeletionByPodGC", message="node no longer exists")]}
            | {"containerStatuses": [LOST]},
            None,
            ["DeletionByPodGC: node no longer exists"],
        ),
    ],
)
def test_what_the_cluster_did_to_a_pod_is_the_cause(
    status: dict[str, Any], exit_code: int | None, says: list[str]
) -> None:
    failure = pod_diagnosis.failure_of(some_pod(phase="Failed", **status))
    assert failure.exit_code == exit_code
    for words in says:
        assert words in failure.message
    assert "could not be located" not in failure.message


def test_a_pod_that_was_disrupted_or_deleted_has_not_failed_by_itself() -> None:
    disrupted = some_pod(phase="Failed", conditions=[condition("DisruptionTarget")])
    deleted = some_pod(deleting=True, phase="Failed")
    assert pod_diagnosis.has_failed(some_pod(phase="Failed"))
    assert not pod_diagnosis.has_failed(disrupted)
    assert not pod_diagnosis.has_failed(deleted)


def test_a_pod_that_is_being_deleted_is_not_ready() -> None:
    ready: dict[str, Any] = {"conditions": [condition("Ready")]}
    assert some_pod(**ready).is_ready
    assert not some_pod(deleting=True, **ready).is_ready


def created(name: str, moment: str, **status: Any) -> Pod:
    raw = pod(job(evaluation()), name, **status)
    return Pod({**raw, "metadata": {**raw["metadata"], "creationTimestamp": moment}})


def test_the_newest_live_pod_is_none_that_has_ended() -> None:
    old = created("old", "2026-01-01T00:00:00Z", phase="Running")
    new = created("new", "2026-01-01T00:00:01Z", phase="Pending")
    over = created("over", "2026-01-01T00:00:02Z", phase="Failed")
    timeless = created("timeless", "yesterday")
    assert pod_diagnosis.newest([old, over, new, timeless]) is over
    assert pod_diagnosis.newest_live([old, over, new, timeless]) is new
    assert pod_diagnosis.newest_live([over]) is None
