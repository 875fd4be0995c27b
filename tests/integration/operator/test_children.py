"""What the operator creates, and that it stays as it should be."""

import pytest

from cluster.api_server import ApiServer
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import RUNNING, Node

CHILDREN = [
    ("/api/v1", "serviceaccounts"),
    ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
]
LONGEST = "a" * 48


def test_every_child_is_there_and_owned(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    uid = evaluations.create()["metadata"]["uid"]
    watcher.until("Ready", "False", "EvaluatorStarting")
    children = [
        server.client.get(f"{root}/namespaces/{node.namespace}/{plural}/mnist-evaluator") for root, plural in CHILDREN
    ]
    for child in [*children, *node.jobs()]:
        references = child["metadata"]["ownerReferences"]
        assert [(reference["kind"], reference["uid"], reference["controller"]) for reference in references] == [
            ("SidecarEvaluation", uid, True)
        ]
        assert "finalizers" not in child["metadata"]
    assert "finalizers" not in evaluations.read()["metadata"]
    assert "annotations" not in evaluations.read()["metadata"]


def test_the_status_is_complete_after_the_first_pass(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create()
    watcher.until("Reconciling", "True", "EvaluatorStarting")
    status = watcher.status()
    assert status["observedGeneration"] == 1
    assert status["job"] == node.jobs()[0]["metadata"]["name"]
    states = {condition["type"]: condition["status"] for condition in status["conditions"]}
    assert states == {"Ready": "False", "Finished": "False", "Succeeded": "Unknown", "Reconciling": "True"}
    assert {condition["observedGeneration"] for condition in status["conditions"]} == {1}


def test_the_pod_of_the_longest_name_may_write_its_results(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create(name=LONGEST)
    watcher.until_true(lambda: node.jobs(LONGEST))
    pod = node.run_pod(RUNNING, LONGEST)
    watcher.until("Ready", "True", "EvaluatorRunning", LONGEST)
    token = server.token(f"{LONGEST}-evaluator", node.namespace, pod["metadata"]["name"])
    evaluator = Evaluations(server.client_of(token), node.namespace)
    evaluator.apply_status({"results": {"backlog": 3}}, "sidecar-evaluator", LONGEST)
    assert evaluations.read(LONGEST)["status"]["results"]["backlog"] == 3
    assert watcher.condition("Ready", LONGEST)["status"] == "True"


@pytest.mark.parametrize("child", CHILDREN, ids=lambda child: child[1])
def test_a_deleted_right_comes_back(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node, child: tuple[str, str]
) -> None:
    root, plural = child
    path = f"{root}/namespaces/{node.namespace}/{plural}/mnist-evaluator"
    evaluations.create()
    watcher.until_true(lambda: server.client.answers(path))
    before = server.client.get(path)["metadata"]["uid"]
    server.client.request("DELETE", path)
    watcher.until_true(lambda: server.client.answers(path))
    assert server.client.get(path)["metadata"]["uid"] != before


def test_a_widened_role_is_put_right(server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{node.namespace}/roles/mnist-evaluator"
    evaluations.create()
    watcher.until_true(lambda: server.client.answers(path))
    rules = server.client.get(path)["rules"]
    wider = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    server.client.request("PATCH", path, {"rules": wider}, "application/merge-patch+json")
    watcher.until_true(lambda: server.client.get(path)["rules"] == rules)


def test_a_deleted_job_comes_back(watcher: Watcher, node: Node, running: object) -> None:
    before = node.jobs()[0]
    node.delete("/apis/batch/v1", "jobs", before)
    node.delete("/api/v1", "pods", node.pods()[0])
    watcher.until_true(node.jobs)
    assert node.jobs()[0]["metadata"]["uid"] != before["metadata"]["uid"]
    assert node.jobs()[0]["metadata"]["name"] == before["metadata"]["name"]


SOURCES = [
    {"persistentVolumeClaim": {"claimName": "runs"}},
    {"gcs": {"bucket": "my-bucket"}},
    {"s3": {"claimName": "s3-runs"}},
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: next(iter(source)))
def test_pods_of_every_source_are_admitted_under_the_restricted_profile(
    evaluations: Evaluations, watcher: Watcher, node: Node, source: dict[str, object]
) -> None:
    replaced = dict.fromkeys(("persistentVolumeClaim", "gcs", "s3")) | source
    output = {**source, "path": "eval"}
    evaluations.create({"checkpoints": {"source": replaced}, "evaluator": {"output": output}})
    watcher.until_true(node.jobs)
    node.run_pod(RUNNING)
    watcher.until("Ready", "True", "EvaluatorRunning")
