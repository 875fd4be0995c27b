"""Objects and writes of others beside those of the operator: each is left as it is, and said where it matters."""

import pytest

from cluster.api_server import ApiServer
from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import RUNNING, Node
from integration.operator.process import OperatorProcess
from integration.operator.test_failures import attempts, crashed, replaced

LABELS = {"app.kubernetes.io/managed-by": "sidecar-operator", "sidecareval.dev/name": "mnist"}
UNPRIVILEGED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD_SPEC = {
    "restartPolicy": "Never",
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "theirs", "image": "theirs", "securityContext": UNPRIVILEGED}],
}


def passes(operator: OperatorProcess) -> float:
    return operator.metric("sidecareval_operator_reconcile_total") or 0


@pytest.fixture
def their_job(node: Node) -> Object:
    """Create a Job of somebody else with the operator's labels, and a pod of it that runs."""
    job: Object = {"metadata": {"name": "theirs", "labels": LABELS}, "spec": {"template": {"spec": POD_SPEC}}}
    created: Object = node.client.post(f"/apis/batch/v1/namespaces/{node.namespace}/jobs", job)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "theirs", "uid": created["metadata"]["uid"]}
    metadata = {"name": "theirs", "labels": LABELS, "ownerReferences": [owner | {"controller": True}]}
    pod = node.client.post(f"/api/v1/namespaces/{node.namespace}/pods", {"metadata": metadata, "spec": POD_SPEC})
    node.set_pod_status(pod, {"phase": "Running"})
    return created


def test_a_job_and_a_pod_of_somebody_else_with_the_same_labels_are_left_alone(
    operator: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node, their_job: Object
) -> None:
    def of_ours() -> list[Object]:
        return [job for job in node.jobs() if job["metadata"]["name"] != "theirs"]

    evaluations.create()
    watcher.until("Ready", "False", "EvaluatorStarting")
    watcher.until_true(of_ours)
    first = of_ours()[0]["metadata"]["uid"]
    evaluations.update({"spec": {"evaluator": {"steps": 5}}})
    watcher.until_true(lambda: "deletionTimestamp" in of_ours()[0]["metadata"])
    path = f"/apis/batch/v1/namespaces/{node.namespace}/jobs/{of_ours()[0]['metadata']['name']}"
    node.client.request("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    watcher.until_true(lambda: of_ours() and of_ours()[0]["metadata"]["uid"] != first)
    before = passes(operator)
    watcher.until_true(lambda: passes(operator) > before + 10)
    theirs = next(job for job in node.jobs() if job["metadata"]["name"] == "theirs")
    assert theirs["metadata"] == their_job["metadata"]
    assert [pod["metadata"]["name"] for pod in node.pods()] == ["theirs"]


def set_suspend(node: Node, *, suspend: bool) -> None:
    path = f"/apis/batch/v1/namespaces/{node.namespace}/jobs/{node.jobs()[0]['metadata']['name']}"
    node.client.request("PATCH", path, {"spec": {"suspend": suspend}}, "application/merge-patch+json")


def test_a_suspend_by_somebody_else_is_not_fought(
    operator: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    set_suspend(node, suspend=True)
    watcher.until("Ready", "False", "SuspendedByOther")
    generation, before = node.jobs()[0]["metadata"]["generation"], passes(operator)
    watcher.until_true(lambda: passes(operator) > before + 20)
    job = node.jobs()[0]
    assert (job["metadata"]["generation"], job["spec"]["suspend"]) == (generation, True)
    evaluations.update({"spec": {"suspend": True}})
    watcher.until("Ready", "False", "Suspended")
    evaluations.update({"spec": {"suspend": False}})
    watcher.until("Ready", "False", "EvaluatorStarting")
    assert node.jobs()[0]["spec"]["suspend"] is False


def test_a_suspend_by_somebody_else_outlives_a_restart_of_the_operator(
    operator: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    assert operator.stop() == 0
    set_suspend(node, suspend=True)
    operator.start()
    watcher.until("Ready", "False", "SuspendedByOther")
    assert node.jobs()[0]["spec"]["suspend"] is True


def allow_one_job(node: Node, used: int) -> None:
    """Create a quota of one Job, and say how many are used, as the quota controller would."""
    path = f"/api/v1/namespaces/{node.namespace}/resourcequotas"
    hard = {"count/jobs.batch": "1"}
    node.client.post(path, {"metadata": {"name": "few"}, "spec": {"hard": hard}})
    numbers = {"hard": hard, "used": {"count/jobs.batch": str(used)}}
    node.client.request("PATCH", f"{path}/few/status", {"status": numbers}, "application/merge-patch+json")


def test_a_change_that_the_api_server_refuses_keeps_the_evaluator(
    evaluations: Evaluations, watcher: Watcher, node: Node, running: Object
) -> None:
    before = node.jobs()[0]["metadata"]
    evaluations.update({"spec": {"evaluator": {"nodeSelector": {"zone": "no label!"}}, "suspend": True}})
    message = watcher.until("Ready", "False", "RefusedByAPIServer")["message"]
    assert "nodeSelector" in message
    assert "the evaluator of the earlier spec goes on" in message
    (job,) = node.jobs()
    assert (job["metadata"]["uid"], job["spec"]["suspend"]) == (before["uid"], True)
    assert "deletionTimestamp" not in job["metadata"]
    assert watcher.status()["job"] == before["name"]
    evaluations.update({"spec": {"evaluator": {"nodeSelector": None}, "suspend": False}})
    watcher.until("Ready", "True", "EvaluatorRunning")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(("used", "reason"), [(1, "ReplacingJob"), (2, "RefusedByAPIServer")])
def test_a_quota_of_jobs_counts_the_one_that_is_replaced(
    evaluations: Evaluations, watcher: Watcher, node: Node, used: int, reason: str
) -> None:
    allow_one_job(node, used)
    evaluations.update({"spec": {"evaluator": {"steps": 5}}})
    watcher.until("Ready", "False", reason)
    assert [("deletionTimestamp" in job["metadata"]) for job in node.jobs()] == [reason == "ReplacingJob"]
    evaluations.client.request("DELETE", evaluations.path("mnist"))  # what is refused is tried again and again


@pytest.mark.usefixtures("running")
def test_a_suspend_is_enforced_where_the_rights_are_refused(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    taken = f"/api/v1/namespaces/{node.namespace}/serviceaccounts/mnist-evaluator"
    server.client.request("PATCH", taken, {"metadata": {"ownerReferences": None}}, "application/merge-patch+json")
    evaluations.update({"spec": {"suspend": True}})
    watcher.until("Ready", "False", "RefusedByAPIServer")
    watcher.until_true(lambda: node.jobs()[0]["spec"]["suspend"] is True)


@pytest.mark.usefixtures("running")
def test_an_end_is_recorded_while_a_right_is_refused(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    taken = f"/api/v1/namespaces/{node.namespace}/serviceaccounts/mnist-evaluator"
    server.client.request("PATCH", taken, {"metadata": {"ownerReferences": None}}, "application/merge-patch+json")
    watcher.until("Ready", "False", "RefusedByAPIServer")
    evaluations.apply_status({"results": {"counts": {"evaluated": 1}}}, "sidecar-evaluator")
    node.end_job("Complete")
    watcher.until("Succeeded", "True", "Completed")


def test_a_refused_change_that_is_taken_back_keeps_the_evaluator_that_was_started_again(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    node.run_pod(crashed())
    node.end_job("Failed", "backoff limit")
    replaced(watcher, node)
    watcher.until_true(lambda: attempts(node) == ["1"])
    node.run_pod(RUNNING)
    watcher.until("Ready", "True", "EvaluatorRunning")
    uid = node.jobs()[0]["metadata"]["uid"]
    evaluations.update({"spec": {"evaluator": {"nodeSelector": {"zone": "no label!"}}}})
    watcher.until("Ready", "False", "RefusedByAPIServer")
    evaluations.update({"spec": {"evaluator": {"nodeSelector": None}}})
    watcher.until("Ready", "True", "EvaluatorRunning")
    (job,) = node.jobs()
    assert (job["metadata"]["uid"], "deletionTimestamp" in job["metadata"]) == (uid, False)


@pytest.mark.parametrize("label", sorted(LABELS))
def test_a_job_gets_labels_back_that_somebody_has_removed(
    operator: OperatorProcess, watcher: Watcher, node: Node, running: Object, label: str
) -> None:
    name = node.jobs()[0]["metadata"]["name"]
    path = f"/apis/batch/v1/namespaces/{node.namespace}/jobs/{name}"
    without = {"metadata": {"labels": {label: None}}}
    node.client.request("PATCH", path, without, "application/merge-patch+json")
    watcher.until_true(lambda: node.client.get(path)["metadata"]["labels"].get(label) == LABELS[label])
    before = passes(operator)
    watcher.until_true(lambda: passes(operator) > before + 2)
    assert watcher.condition("Ready")["reason"] == "EvaluatorRunning"
