"""A training is deleted and made anew under its name, as Argo CD does with `Replace=true`: the new one is followed."""

import json
from typing import Any

import pytest

from demo import table
from demo.kubectl import Kubectl, Manifest, wait_for
from e2e import scoring
from e2e.conftest import NewNamespace, wait_until_finished
from e2e.test_bad_input import CLAIM, SAMPLE, Mistake, code, evaluation
from support.waiting import CLUSTER_DEADLINE

LONGER_THAN_THE_GRACE = 75
"""Seconds: after a training that is gone, the evaluator ends in less."""


@pytest.fixture(scope="module")
def namespace(new_namespace: NewNamespace) -> Kubectl:
    kubectl = new_namespace("replaced")
    kubectl.apply(CLAIM)
    kubectl.apply(code())
    wait_for("the claim bound", lambda: kubectl.read("pvc", "runs")["spec"].get("volumeName"), CLUSTER_DEADLINE)
    return kubectl


def write_checkpoint(kubectl: Kubectl, path: str) -> None:
    """Write what a training would: these only take time."""
    import tensorflow as tf

    model = scoring.load_module(SAMPLE / "digits.py").build_model()
    model.optimizer.build(model.trainable_variables)
    saved = scoring.claim_folder(kubectl, "runs") / path
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(saved))


def training(name: str, seconds: int) -> Manifest:
    """Return a Job that takes so long."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    command = ["python", "-c", f"import time; time.sleep({seconds})"]
    container = {"name": "train", "image": "sidecar-evaluator:dev", "command": command, "securityContext": security}
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def follower(name: str) -> Manifest:
    """Return an evaluation of the folder of its name, which ends with the training of its name only."""
    manifest = evaluation(name, Mistake("", "", path=name))
    manifest["spec"] |= {"trainingRef": {"apiVersion": "batch/v1", "kind": "Job", "name": name}}
    del manifest["spec"]["completion"]
    return manifest


def replace(kubectl: Kubectl, manifest: Manifest) -> str:
    """Delete an object and create it anew; return the new uid."""
    kubectl.run("replace", "--force", "-f", "-", stdin=json.dumps(manifest))
    uid: str = kubectl.read("job", manifest["metadata"]["name"])["metadata"]["uid"]
    return uid


def wait_for_evaluated(kubectl: Kubectl, name: str, count: int) -> None:
    def look() -> bool | None:
        results = kubectl.read("sidecarevaluation", name).get("status", {}).get("results", {})
        return results.get("counts", {}).get("evaluated", 0) >= count or None

    wait_for(f"{count} evaluated", look, CLUSTER_DEADLINE)


def wait_for_reason(kubectl: Kubectl, name: str, reason: str) -> None:
    def look() -> bool | None:
        ready = table.condition(kubectl.read("sidecarevaluation", name).get("status", {}), "Ready")
        return (ready is not None and ready["reason"] == reason) or None

    wait_for(reason, look, CLUSTER_DEADLINE)


def assert_ended_with(kubectl: Kubectl, name: str, uid: str) -> None:
    finished = wait_until_finished(kubectl, name)
    status = finished["status"]
    assert (status["training"]["uid"], status["training"]["state"]) == (uid, "Succeeded"), scoring.as_json(finished)
    assert table.is_true(status, "Succeeded"), scoring.as_json(finished)
    assert status["results"]["latest"]["checkpoint"] == "ckpt-2"


def test_a_training_that_is_replaced_while_it_runs(namespace: Kubectl) -> None:
    write_checkpoint(namespace, "running/ckpt-1")
    namespace.apply(training("running", 3600))
    namespace.apply(follower("running"))
    wait_for_evaluated(namespace, "running", 1)
    second = replace(namespace, training("running", LONGER_THAN_THE_GRACE))
    write_checkpoint(namespace, "running/ckpt-2")
    assert_ended_with(namespace, "running", second)


def test_a_training_of_last_night_is_replaced_after_the_resource_was_made(namespace: Kubectl) -> None:
    namespace.apply(training("nightly", 1))
    namespace.run("wait", "--for=condition=Complete", "job/nightly", f"--timeout={CLUSTER_DEADLINE:.0f}s")
    (scoring.claim_folder(namespace, "runs") / "nightly").mkdir()
    namespace.apply(follower("nightly"))
    wait_for_reason(namespace, "nightly", "TrainingEndedBefore")
    write_checkpoint(namespace, "nightly/ckpt-2")
    tonight = replace(namespace, training("nightly", 5))
    assert_ended_with(namespace, "nightly", tonight)
