"""The training that a resource follows: a kind that is watched, kinds that are not, kinds that nobody knows."""

from collections.abc import Iterator

import pytest

from cluster.api_server import ApiServer
from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import Node
from support.waiting import until

TRAINER = "/apis/example.dev/v1"
JOB_REF = {"apiVersion": "batch/v1", "kind": "Job", "name": "train"}
TRAINER_REF = {"apiVersion": "example.dev/v1", "kind": "Trainer", "name": "train"}


def training_job() -> Object:
    container = {"name": "train", "image": "train"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": "train"}, "spec": {"template": template}}


def conditions(condition_type: str, message: str) -> Object:
    at = "2026-01-01T00:00:00Z"
    one = {"type": condition_type, "status": "True", "message": message, "reason": "Test", "lastTransitionTime": at}
    return {"status": {"conditions": [one]}}


@pytest.fixture
def trainer(server: ApiServer) -> Iterator[str]:
    """Install a kind of training that the operator has never heard of, readable for it; return its path."""
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": open_schema}}
    spec = {
        "group": "example.dev",
        "scope": "Namespaced",
        "names": {"kind": "Trainer", "plural": "trainers"},
        "versions": [version],
    }
    definition = {"metadata": {"name": "trainers.example.dev"}, "spec": spec}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    server.client.post(path, definition)
    until(lambda: server.client.answers(f"{TRAINER}/trainers"))
    yield f"{TRAINER}/namespaces/{{}}/trainers"
    server.client.request("DELETE", f"{path}/trainers.example.dev")


def allow_trainers(server: ApiServer) -> None:
    rules = [{"apiGroups": ["example.dev"], "resources": ["trainers"], "verbs": ["get", "list", "watch"]}]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    server.client.post(f"{rbac}/clusterroles", {"metadata": {"name": "trainers"}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "trainers"}
    subject = {"kind": "ServiceAccount", "name": "sidecar-operator", "namespace": "sidecar-system"}
    binding = {"metadata": {"name": "trainers"}, "roleRef": role, "subjects": [subject]}
    server.client.post(f"{rbac}/clusterrolebindings", binding)


def until_training(watcher: Watcher, state: str) -> Object:
    watcher.until_true(lambda: watcher.status().get("training", {}).get("state") == state)
    training: Object = watcher.status()["training"]
    return training


@pytest.mark.parametrize(("condition_type", "state"), [("Complete", "Succeeded"), ("Failed", "Failed")])
def test_a_job_is_followed_to_its_end(
    evaluations: Evaluations, watcher: Watcher, node: Node, condition_type: str, state: str
) -> None:
    evaluations.create({"trainingRef": JOB_REF})
    until_training(watcher, "Pending")
    assert "does not exist yet" in watcher.condition("TrainingFinished")["message"]
    path = f"/apis/batch/v1/namespaces/{node.namespace}/jobs"
    node.client.post(path, training_job())
    assert "no pod of it runs" in until_training(watcher, "Waiting")["message"]
    run_training_job(node, f"{path}/train")
    until_training(watcher, "Running")
    end_training_job(node, f"{path}/train", condition_type)
    assert until_training(watcher, state)["finishedAt"] == "2026-01-01T00:00:00Z"
    assert watcher.condition("TrainingFinished")["status"] == "True"
    node.client.request("DELETE", f"{path}/train", {"propagationPolicy": "Background"})
    evaluations.update({"spec": {"suspend": True}})
    watcher.until("Ready", "False", "Suspended")
    assert watcher.status()["training"]["state"] == state


def run_training_job(node: Node, path: str) -> None:
    status = {"startTime": "2026-01-01T00:00:00Z", "active": 1, "ready": 1}
    node.client.request("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")


def end_training_job(node: Node, path: str, condition_type: str) -> None:
    at = "2026-01-01T00:00:00Z"
    before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[condition_type]
    ended: Object = {"startTime": at, "active": 0, "ready": 0, "conditions": []}
    for kind in (before, condition_type):
        ended["conditions"] += conditions(kind, "the end")["status"]["conditions"]
    if condition_type == "Complete":
        ended |= {"completionTime": at, "succeeded": 1}
    node.client.request("PATCH", f"{path}/status", {"status": ended}, "application/merge-patch+json")


def test_a_training_that_is_deleted_is_gone(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    path = f"/apis/batch/v1/namespaces/{node.namespace}/jobs"
    server.client.post(path, training_job())
    run_training_job(node, f"{path}/train")
    evaluations.create({"trainingRef": JOB_REF})
    until_training(watcher, "Running")
    server.client.request("DELETE", f"{path}/train", {"propagationPolicy": "Background"})
    until_training(watcher, "Gone")


def test_a_kind_that_nobody_knows(evaluations: Evaluations, watcher: Watcher) -> None:
    evaluations.create({"trainingRef": {**TRAINER_REF, "kind": "Nothing"}})
    condition = watcher.until("TrainingFinished", "Unknown", "TrainingKindUnknown")
    assert "Nothing" in condition["message"]
    assert "install" in condition["message"]


def test_a_kind_that_appears_later_is_followed(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node, request: pytest.FixtureRequest
) -> None:
    evaluations.create({"trainingRef": TRAINER_REF})
    watcher.until("TrainingFinished", "Unknown", "TrainingKindUnknown")
    path = request.getfixturevalue("trainer").format(node.namespace)
    watcher.until("TrainingFinished", "Unknown", "TrainingForbidden")
    allow_trainers(server)
    named = {"apiVersion": "example.dev/v1", "kind": "Trainer", "metadata": {"name": "train"}}
    server.client.post(path, named)
    until_training(watcher, "Waiting")
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    server.client.request("PATCH", f"{path}/train", status, "application/merge-patch+json")
    assert "spec.completion" in watcher.until("TrainingFinished", "Unknown", "TrainingStateUnknown")["message"]
    ended = conditions("Succeeded", "well done")
    server.client.request("PATCH", f"{path}/train", ended, "application/merge-patch+json")
    assert until_training(watcher, "Succeeded")["message"] == "Trainer train succeeded: well done"
