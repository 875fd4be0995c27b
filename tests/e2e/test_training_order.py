"""Training and evaluator want the only GPU of the node: the training gets it, whatever was applied first."""

from typing import Any

import pytest

from demo import table
from demo.kubectl import Kubectl, Manifest, wait_for
from e2e import scoring
from e2e.conftest import NewNamespace, wait_until_finished
from e2e.test_bad_input import CLAIM, SAMPLE, Mistake, code, evaluation
from support.waiting import CLUSTER_DEADLINE

NAME = "train"
GPU: dict[str, Any] = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}


@pytest.fixture(scope="module")
def namespace(new_namespace: NewNamespace) -> Kubectl:
    kubectl = new_namespace("order")
    kubectl.apply(CLAIM)
    kubectl.apply(code())
    wait_for("the claim bound", lambda: kubectl.read("pvc", "runs")["spec"].get("volumeName"), CLUSTER_DEADLINE)
    write_checkpoint(kubectl)
    return kubectl


def write_checkpoint(kubectl: Kubectl) -> None:
    """Write what the training would: here it only holds the GPU for a while."""
    import tensorflow as tf

    model = scoring.load_module(SAMPLE / "digits.py").build_model()
    model.optimizer.build(model.trainable_variables)
    path = scoring.claim_folder(kubectl, "runs") / "good" / "ckpt-1"
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(path))


def training() -> Manifest:
    """Return a Job that holds the GPU for some seconds."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    command = ["python", "-c", "import time; time.sleep(5)"]
    container = {"name": "train", "image": "sidecar-evaluator:dev", "command": command, "securityContext": security}
    pod_security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"restartPolicy": "Never", "securityContext": pod_security, "containers": [container | GPU]}
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": NAME}, "spec": spec}


def test_the_training_gets_the_gpu_first(namespace: Kubectl) -> None:
    """An evaluator that took it first would wait for the training, and the training for it."""
    manifest = evaluation(NAME, Mistake("", "", evaluator=GPU))
    manifest["spec"] |= {"trainingRef": {"apiVersion": "batch/v1", "kind": "Job", "name": NAME}}
    del manifest["spec"]["completion"]
    namespace.apply(manifest)

    def is_waiting() -> bool | None:
        status = namespace.read("sidecarevaluation", NAME).get("status", {})
        return table.headline(status).startswith("WaitingForTraining:") or None

    wait_for("WaitingForTraining", is_waiting, CLUSTER_DEADLINE)
    assert namespace.items("jobs") == []
    namespace.apply(training())
    finished = wait_until_finished(namespace, NAME)
    assert namespace.read("job", NAME)["status"]["succeeded"] == 1
    assert finished["status"]["training"]["state"] == "Succeeded"
    assert table.is_true(finished["status"], "Succeeded"), scoring.as_json(finished)
