"""When the evaluator starts: after its training, so that it takes nothing that the training still needs."""

from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import Node
from integration.operator.test_training import JOB_REF, run_training_job, training_job

GPU: Object = {"evaluator": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}}
NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def create_training(node: Node) -> str:
    """Create the Job `train`, and return its path."""
    path = f"/apis/batch/v1/namespaces/{node.namespace}/jobs"
    node.client.post(path, training_job())
    return f"{path}/train"


def create_training_pod(node: Node, message: str) -> None:
    """Create the pod of the Job `train`, and report that no node can run it, as Job controller and scheduler do."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "train", "image": "train", "securityContext": security}
    pod_security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    metadata = {"name": "train-0", "labels": {"batch.kubernetes.io/job-name": "train"}}
    spec = {"containers": [container], "securityContext": pod_security, "restartPolicy": "Never"}
    pod = node.client.post(f"/api/v1/namespaces/{node.namespace}/pods", {"metadata": metadata, "spec": spec})
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    node.set_pod_status(pod, {"phase": "Pending", "conditions": [condition]})


def test_the_evaluator_starts_once_the_training_runs_and_stays(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create({"trainingRef": JOB_REF})
    assert "Job train does not exist yet" in watcher.until("Ready", "False", "WaitingForTraining")["message"]
    path = create_training(node)
    watcher.until("TrainingFinished", "False", "TrainingWaiting")
    assert "no pod of it runs" in watcher.until("Ready", "False", "WaitingForTraining")["message"]
    assert node.jobs() == []
    run_training_job(node, path)
    watcher.until("Ready", "False", "EvaluatorStarting")
    (job,) = node.jobs()
    waits = {"status": {"active": 1, "ready": 0}}
    node.client.request("PATCH", f"{path}/status", waits, "application/merge-patch+json")
    watcher.until("TrainingFinished", "False", "TrainingWaiting")
    assert [one["metadata"]["uid"] for one in node.jobs()] == [job["metadata"]["uid"]]


def test_a_misspelt_training_holds_nothing(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create({**GPU, "trainingRef": {**JOB_REF, "kind": "Jbo"}})
    condition = watcher.until("Ready", "False", "WaitingForTraining")
    assert "the cluster has no kind Jbo in batch/v1" in condition["message"]
    assert "correct spec.trainingRef" in condition["message"]
    assert watcher.condition("Reconciling")["reason"] == "WaitingForTraining"
    assert node.jobs() == []


def test_a_training_that_waits_is_told_with_the_words_of_the_scheduler(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    create_training(node)
    create_training_pod(node, NO_GPU)
    evaluations.create({**GPU, "trainingRef": JOB_REF})
    watcher.until_true(
        lambda: "Insufficient nvidia.com/gpu" in watcher.condition("TrainingFinished").get("message", "")
    )
    assert "Insufficient nvidia.com/gpu" in watcher.condition("Ready")["message"]
    assert "spec.suspend" not in watcher.condition("Ready")["message"]


def test_a_training_that_waits_for_what_the_evaluator_holds_is_told_what_releases_it(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    create_training(node)
    create_training_pod(node, NO_GPU)
    evaluations.create({**GPU, "trainingRef": JOB_REF, "startWhen": "Immediately"})
    watcher.until_true(node.jobs)
    node.run_pod({"phase": "Running"})
    watcher.until_true(
        lambda: (
            "the evaluator holds 1 of nvidia.com/gpu: set spec.suspend"
            in watcher.condition("TrainingFinished").get("message", "")
        )
    )
    assert watcher.status()["training"]["state"] == "Waiting"
