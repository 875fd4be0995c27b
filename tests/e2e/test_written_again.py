"""What changes under a running evaluation, on a real node: a checkpoint under its name, and the code that evaluates."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo import table
from demo.follow import PODS
from demo.install import DEPLOY
from demo.kubectl import Kubectl, Manifest, wait_for
from e2e import scoring
from e2e.conftest import NewNamespace
from support.waiting import CLUSTER_DEADLINE

SAMPLE = DEPLOY / "samples" / "demo"
NAME = "changing"
CLAIM: Manifest = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "runs"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def code(addition: str = "") -> Manifest:
    files = {name: (SAMPLE / name).read_text() for name in ("digits.py", "evaluate.py")}
    files["evaluate.py"] += addition
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": files}


def evaluation(on_change: str) -> Manifest:
    evaluator = {
        "entrypoint": "evaluate:build",
        "code": {"configMap": {"name": "code"}, "onChange": on_change},
        "parameters": [{"name": "images", "value": "64"}],
    }
    source = {"persistentVolumeClaim": {"claimName": "runs"}}
    spec = {"checkpoints": {"source": source, "path": "run", "selection": "Every"}, "evaluator": evaluator}
    kind = {"apiVersion": "sidecareval.dev/v1alpha1", "kind": "SidecarEvaluation"}
    return {**kind, "metadata": {"name": NAME}, "spec": spec}


def write_checkpoint(folder: Path) -> Path:
    import tensorflow as tf

    model = scoring.load_module(SAMPLE / "digits.py").build_model()
    model.optimizer.build(model.trainable_variables)
    return Path(tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / "run" / "ckpt-1")))


@pytest.fixture(scope="module")
def kubectl(new_namespace: NewNamespace) -> Kubectl:
    kubectl = new_namespace("written-again")
    kubectl.apply(CLAIM)
    kubectl.apply(code())
    wait_for("the claim bound", lambda: kubectl.read("pvc", "runs")["spec"].get("volumeName"), CLUSTER_DEADLINE)
    return kubectl


def results_when(kubectl: Kubectl, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Wait until something holds of the status, and return its results."""

    def look() -> dict[str, Any] | None:
        status = kubectl.read("sidecarevaluation", NAME).get("status", {})
        return status.get("results", {}) if holds(status) else None

    return wait_for(NAME, look, CLUSTER_DEADLINE)


def evaluated(status: dict[str, Any]) -> int:
    count: int = status.get("results", {}).get("counts", {}).get("evaluated", 0)
    return count


def consistency(status: dict[str, Any]) -> str:
    return str((table.condition(status, "ResultsConsistent") or {}).get("reason"))


def test_files_and_code_that_change_are_told_from_those_before(kubectl: Kubectl) -> None:
    index = write_checkpoint(scoring.claim_folder(kubectl, "runs")).with_suffix(".index")
    kubectl.apply(evaluation("Warn"))
    first = results_when(kubectl, lambda status: evaluated(status) == 1)["latest"]
    assert first["codeDigest"].startswith("sha256:")
    assert first["imageID"]
    assert "writtenAgain" not in first

    os.utime(index, (time.time() + 3600, time.time() + 3600))
    again = results_when(kubectl, lambda status: evaluated(status) == 2)["latest"]
    assert again["writtenAgain"] is True
    assert again["modifiedAt"] > first["modifiedAt"]

    kubectl.apply(code("\n# other code\n"))
    (pod,) = kubectl.items("pods", PODS.format(name=NAME))
    kubectl.run("delete", "pod", pod["metadata"]["name"])
    other = results_when(kubectl, lambda status: consistency(status) == "CodeChanged")["evaluator"]["codeDigest"]
    assert other != first["codeDigest"]

    kubectl.apply(evaluation("Restart"))
    anew = results_when(kubectl, lambda status: consistency(status) == "BeganAnew" and evaluated(status) == 1)
    assert anew["latest"]["codeDigest"] == other
    assert anew["beganAnew"]["reason"] == "CodeChanged"
