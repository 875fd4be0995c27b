"""Bad input that admission cannot see: each ends in a condition that says what is wrong and what to do."""

import pytest

from cluster.api_server import ApiServer
from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import RUNNING, Node
from integration.operator.process import OperatorProcess


def container(**state: Object) -> Object:
    """Return the status of the evaluator's container."""
    common = {"name": "evaluator", "image": "nowhere/evaluator:1", "imageID": "", "ready": False, "restartCount": 0}
    return common | {"state": state}


def pending(**state: Object) -> Object:
    scheduled = [{"type": "PodScheduled", "status": "True"}]
    return {"phase": "Pending", "conditions": scheduled, "containerStatuses": [container(**state)]}


def unscheduled(message: str) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [condition]}


CREATING = pending(waiting={"reason": "ContainerCreating"})
TROUBLES = [
    (
        pending(waiting={"reason": "ImagePullBackOff", "message": "Back-off: ErrImagePull: not found"}),
        "ImageNotPulled",
        ["nowhere/evaluator:1", "not found", "spec.evaluator.image"],
    ),
    (pending(waiting={"reason": "InvalidImageName"}), "ImageNameInvalid", ["nowhere/evaluator:1"]),
    (
        unscheduled('0/1 nodes are available: persistentvolumeclaim "runs" not found.'),
        "ClaimNotFound",
        ["runs", "create it"],
    ),
    (unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."), "Unschedulable", ["nvidia.com/gpu"]),
    (
        pending(waiting={"reason": "CreateContainerConfigError", "message": "non-numeric user"}),
        "ContainerConfiguration",
        ["non-numeric user"],
    ),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble[1])
def test_a_pod_that_cannot_start(
    evaluations: Evaluations, watcher: Watcher, node: Node, trouble: tuple[Object, str, list[str]]
) -> None:
    status, reason, words = trouble
    evaluations.create()
    watcher.until_true(node.jobs)
    node.run_pod(status)
    condition = watcher.until("Ready", "False", reason)
    assert all(word in condition["message"] for word in words)
    assert watcher.condition("Reconciling")["reason"] == reason
    assert watcher.condition("Stalled") == {}


def test_code_that_does_not_exist(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create({"evaluator": {"code": {"configMap": {"name": "missing"}}}})
    watcher.until_true(node.jobs)
    pod = node.run_pod(CREATING)
    node.warn(pod, "Pod", "FailedMount", 'MountVolume.SetUp failed for volume "code" : configmap "missing" not found')
    assert "ConfigMap missing" in watcher.until("Ready", "False", "CodeNotFound")["message"]


def test_pods_that_the_cluster_refuses(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    node.warn(node.jobs()[0], "Job", "FailedCreate", 'pods "mnist-" is forbidden: exceeded quota: gpus')
    assert "exceeded quota" in watcher.until("Ready", "False", "PodsRefused")["message"]


def test_a_job_that_the_api_server_refuses(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    server.client.post(f"/api/v1/namespaces/{node.namespace}/resourcequotas", quota)
    path = f"/api/v1/namespaces/{node.namespace}/resourcequotas/none/status"
    hard = {"status": {"hard": {"count/jobs.batch": "0"}, "used": {"count/jobs.batch": "0"}}}
    server.client.request("PATCH", path, hard, "application/merge-patch+json")
    evaluations.create()
    condition = watcher.until("Ready", "False", "RefusedByAPIServer")
    assert "Job" in condition["message"]
    assert "quota" in condition["message"]


def test_a_crash_is_shown_while_kubernetes_retries(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    ended = {"exitCode": 1, "reason": "Error", "message": "out of memory"}
    node.run_pod({"phase": "Failed", "containerStatuses": [container(terminated=ended)]})
    condition = watcher.until("Ready", "False", "EvaluatorCrashed")
    assert "exit code 1: out of memory" in condition["message"]
    assert watcher.condition("Finished")["status"] == "False"


def test_an_eviction_stays_the_cause(
    operator: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    """A second after the eviction its kubelet no longer finds the container, and says only that."""
    evaluations.create()
    watcher.until_true(node.jobs)
    message = "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. "
    evicted: Object = {"phase": "Failed", "reason": "Evicted", "message": message}
    pod = node.run_pod(evicted)
    before = watcher.until("Ready", "False", "EvaluatorCrashed")["message"]
    lost = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "The container could not be located"}
    node.set_pod_status(pod, evicted | {"containerStatuses": [container(terminated=lost)]})
    passes = operator.metric("sidecareval_operator_reconcile_total") or 0
    watcher.until_true(lambda: (operator.metric("sidecareval_operator_reconcile_total") or 0) > passes + 5)
    assert watcher.condition("Ready")["message"] == before
    assert "Evicted: Pod ephemeral local storage usage exceeds" in before
    assert "raise ephemeral-storage in spec.evaluator.resources" in before


def test_a_configuration_error_is_the_end(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    ended = {"exitCode": 78, "reason": "Error", "message": "No module named 'evaluate'"}
    node.run_pod({"phase": "Failed", "containerStatuses": [container(terminated=ended)]})
    node.end_job("Failed", "backoff limit")
    assert "No module named 'evaluate'" in watcher.until("Stalled", "True", "ConfigurationError")["message"]
    for condition_type, status in (("Ready", "False"), ("Finished", "True"), ("Succeeded", "False")):
        assert watcher.condition(condition_type)["status"] == status
    assert watcher.condition("Reconciling") == {}


def test_trouble_that_heals_is_over(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    pod = node.run_pod(TROUBLES[0][0])
    watcher.until("Ready", "False", "ImageNotPulled")
    node.set_pod_status(pod, RUNNING)
    watcher.until("Ready", "True", "EvaluatorRunning")
    assert watcher.condition("Reconciling") == {}
