"""Training and evaluator want the only device of the node: the training gets it, whatever was applied first.

The device is one that the node advertises for these tests alone: other tests hold the GPU for as long as they like.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from demo import table
from demo.kubectl import Kubectl, Manifest, wait_for
from e2e import scoring
from e2e.conftest import NewNamespace, wait_until_finished
from e2e.test_bad_input import CLAIM, SAMPLE, Mistake, code, evaluation
from support.waiting import CLUSTER_DEADLINE

DEVICE = "e2e.example/gpu"
HELD: dict[str, Any] = {"resources": {"limits": {DEVICE: "1"}}}


@pytest.fixture(scope="module")
def device(node: Kubectl) -> Iterator[None]:
    """Let the node have one device, as a cluster administrator can without a device plugin."""
    name = node.items("nodes")[0]["metadata"]["name"]

    def patch(**operation: str) -> None:
        change = [{"path": f"/status/capacity/{DEVICE.replace('/', '~1')}", **operation}]
        node.run("patch", "node", name, "--subresource=status", "--type=json", f"--patch={json.dumps(change)}")

    def is_there() -> bool | None:
        return node.read("node", name)["status"]["allocatable"].get(DEVICE) == "1" or None

    patch(op="add", value="1")
    wait_for("the device", is_there, CLUSTER_DEADLINE)
    yield
    patch(op="remove")


@pytest.fixture(scope="module")
def namespace(new_namespace: NewNamespace, device: None) -> Kubectl:
    kubectl = new_namespace("order")
    kubectl.apply(CLAIM)
    kubectl.apply(code())
    wait_for("the claim bound", lambda: kubectl.read("pvc", "runs")["spec"].get("volumeName"), CLUSTER_DEADLINE)
    write_checkpoint(kubectl)
    return kubectl


def write_checkpoint(kubectl: Kubectl) -> None:
    """Write what the training would: here it only holds the device for a while."""
    import tensorflow as tf

    model = scoring.load_module(SAMPLE / "digits.py").build_model()
    model.optimizer.build(model.trainable_variables)
    path = scoring.claim_folder(kubectl, "runs") / "good" / "ckpt-1"
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(path))


def training(name: str) -> Manifest:
    """Return a Job that holds the device for some seconds."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    command = ["python", "-c", "import time; time.sleep(5)"]
    container = {"name": "train", "image": "sidecar-evaluator:dev", "command": command, "securityContext": security}
    pod_security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"restartPolicy": "Never", "securityContext": pod_security, "containers": [container | HELD]}
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def follower(name: str, **spec: Any) -> Manifest:
    """Return an evaluation with the device that ends with the training of its name only."""
    manifest = evaluation(name, Mistake("", "", evaluator=HELD))
    manifest["spec"] |= {"trainingRef": {"apiVersion": "batch/v1", "kind": "Job", "name": name}, **spec}
    del manifest["spec"]["completion"]
    return manifest


def wait_for_words(kubectl: Kubectl, name: str, condition: str, words: str) -> None:
    """Wait until a condition's reason and message contain these words."""

    def look() -> bool | None:
        entry = table.condition(kubectl.read("sidecarevaluation", name).get("status", {}), condition)
        return (entry is not None and words in f"{entry['reason']}: {entry['message']}") or None

    wait_for(words, look, CLUSTER_DEADLINE)


def assert_both_have_succeeded(kubectl: Kubectl, name: str) -> None:
    finished = wait_until_finished(kubectl, name)
    assert kubectl.read("job", name)["status"]["succeeded"] == 1
    assert finished["status"]["training"]["state"] == "Succeeded"
    assert table.is_true(finished["status"], "Succeeded"), scoring.as_json(finished)


def test_the_training_gets_the_device_first(namespace: Kubectl) -> None:
    """An evaluator that took it first would wait for the training, and the training for it."""
    namespace.apply(follower("after"))
    wait_for_words(namespace, "after", "Ready", "WaitingForTraining: ")
    assert namespace.items("jobs") == []
    namespace.apply(training("after"))
    assert_both_have_succeeded(namespace, "after")


def test_a_training_that_waits_for_the_evaluator_is_told_what_helps(namespace: Kubectl) -> None:
    """The advice is followed: suspended, the evaluator releases the device, and goes on afterwards."""
    namespace.apply(follower("before", startWhen="Immediately"))
    wait_for_words(namespace, "before", "Ready", "EvaluatorRunning: ")
    namespace.apply(training("before"))
    wait_for_words(namespace, "before", "TrainingFinished", f"the evaluator holds 1 of {DEVICE}: set spec.suspend")
    suspend(namespace, "before", suspended=True)
    namespace.run("wait", "--for=condition=Complete", "job/before", f"--timeout={CLUSTER_DEADLINE:.0f}s")
    suspend(namespace, "before", suspended=False)
    assert_both_have_succeeded(namespace, "before")


def suspend(kubectl: Kubectl, name: str, *, suspended: bool) -> None:
    patch = json.dumps({"spec": {"suspend": suspended}})
    kubectl.run("patch", "sidecarevaluation", name, "--type=merge", f"--patch={patch}")
