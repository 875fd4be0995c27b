"""The main job on a real node: a training pod writes checkpoints, an evaluator pod scores them as they finish."""

import json
from pathlib import Path
from typing import Any

import pytest

from demo import table
from demo.follow import PODS
from demo.install import DEMO, DEPLOY, install_demo
from demo.kubectl import Kubectl, Manifest, wait_for
from e2e import scoring
from e2e.conftest import wait_until_finished
from support.waiting import CLUSTER_DEADLINE, DEADLINE

NAME = "digits"
CLAIM = "runs"
IMAGES = 20_000  # so that one evaluation takes a while
ENTRYPOINT = DEPLOY / "samples" / "demo" / "evaluate.py"


@pytest.fixture(scope="module")
def demo(cluster_with_operator: Kubectl) -> Kubectl:
    install_demo(cluster_with_operator)
    return cluster_with_operator.within(DEMO)


@pytest.fixture(scope="module")
def finished(demo: Kubectl) -> Manifest:
    return wait_until_finished(demo, NAME)


@pytest.fixture(scope="module")
def folder(demo: Kubectl, finished: Manifest) -> Path:
    path: str = finished["spec"]["checkpoints"]["path"]
    return scoring.claim_folder(demo, CLAIM) / path


def history(evaluation: Manifest) -> list[dict[str, Any]]:
    """Return what was settled, oldest first."""
    entries: list[dict[str, Any]] = evaluation["status"]["results"]["history"]
    return entries[::-1]


def test_the_evaluation_ends_well_when_training_does(finished: Manifest) -> None:
    status = finished["status"]
    assert table.is_true(status, "Succeeded"), scoring.as_json(finished)
    assert table.is_true(status, "Ready"), scoring.as_json(finished)
    assert status["training"]["state"] == "Succeeded"
    assert status["observedGeneration"] == finished["metadata"]["generation"]
    assert {one["observedGeneration"] for one in status["conditions"]} == {status["observedGeneration"]}


def test_steps_and_scores_rise(finished: Manifest) -> None:
    entries = history(finished)
    steps = [entry["step"] for entry in entries]
    accuracies = [scoring.scores_of(entry)["accuracy"] for entry in entries]
    assert len(entries) >= 4, scoring.as_json(finished)
    assert steps == sorted(set(steps))
    assert accuracies[0] < 0.8
    assert accuracies[-1] > 0.9


def test_the_last_checkpoint_is_evaluated(finished: Manifest, folder: Path) -> None:
    assert finished["status"]["results"]["latest"]["checkpoint"] == scoring.checkpoint_names(folder)[-1]


def test_scores_are_those_of_model_evaluate(finished: Manifest, folder: Path) -> None:
    for entry in history(finished):
        expected = scoring.evaluate_by_hand(ENTRYPOINT, folder, entry["checkpoint"])
        assert scoring.scores_of(entry) == pytest.approx(expected, abs=scoring.TOLERANCE)


def test_training_is_not_harmed(demo: Kubectl) -> None:
    job = demo.read("job", NAME)
    assert job["status"]["succeeded"] == 1
    assert not job["status"].get("failed")


def test_metrics_agree_with_status_after_pod_and_operator_were_killed(
    demo: Kubectl, finished: Manifest, folder: Path
) -> None:
    """Evaluate everything again under Every; kill the pod and the operator in the middle."""
    name = "digits-again"
    demo.apply(evaluation_of_all(finished, name))
    wait_for("two evaluated", lambda: evaluated(demo, name) >= 2 or None, CLUSTER_DEADLINE, every=0.3)
    pod = evaluator_pod(demo, name)
    demo.run("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
    system = demo.within("sidecar-system")
    system.run("delete", "pod", "--selector=app.kubernetes.io/name=sidecar-operator", "--grace-period=0", "--force")
    names = scoring.checkpoint_names(folder)
    wait_for("all checkpoints evaluated", lambda: evaluated(demo, name) >= len(names) or None, CLUSTER_DEADLINE)
    evaluation = demo.read("sidecarevaluation", name)
    assert [entry["checkpoint"] for entry in history(evaluation)] == names, scoring.as_json(evaluation)
    assert evaluation["status"]["results"]["counts"]["evaluated"] == len(names)
    assert evaluator_pod(demo, name) != pod
    scraped = scoring.scraped_scores(demo.scrape(evaluator_pod(demo, name), DEADLINE))
    assert scraped == pytest.approx(scoring.scores_of(history(evaluation)[-1]), abs=scoring.TOLERANCE)
    output = scoring.claim_folder(demo, CLAIM) / name
    journal = output / "results.jsonl"
    lines = wait_for("all lines", lambda: whole_lines(journal, len(names)), CLUSTER_DEADLINE)
    assert [json.loads(line)["checkpoint"] for line in lines] == names
    assert_best_is_there(output / "best", evaluation["status"]["results"]["best"])


def whole_lines(path: Path, count: int) -> list[str] | None:
    """Return the lines of a file once there are so many."""
    lines = path.read_text().splitlines()
    return lines if len(lines) >= count else None


def assert_best_is_there(copies: Path, best: dict[str, Any]) -> None:
    """Check that the copy of the best checkpoint is whole, and that its weights have the scores it says."""
    (manifest,) = wait_for("the best copied", lambda: list(copies.glob("*/manifest.json")) or None, CLUSTER_DEADLINE)
    fields = json.loads(manifest.read_text())
    assert fields["checkpoint"] == best["checkpoint"]
    expected = scoring.evaluate_by_hand(ENTRYPOINT, manifest.parent, fields["path"], images=IMAGES)
    assert scoring.scores_of(fields) == pytest.approx(expected, abs=scoring.TOLERANCE)


def evaluation_of_all(finished: Manifest, name: str) -> Manifest:
    """Return the demo's evaluation under another name: all checkpoints one by one, on the GPU, without an end."""
    spec = {key: value for key, value in finished["spec"].items() if key != "trainingRef"}
    spec["checkpoints"] = {**spec["checkpoints"], "selection": "Every"}
    output = {"persistentVolumeClaim": {"claimName": CLAIM}, "path": name}
    gpu = {"limits": {"nvidia.com/gpu": "1"}}
    slowly = {"parameters": [{"name": "images", "value": str(IMAGES)}], "performance": {"checkpointsPerPass": 1}}
    spec["evaluator"] = {**spec["evaluator"], **slowly, "resources": gpu, "output": output}
    spec["bestCheckpoint"] = {"keep": 1}
    return {**finished, "metadata": {"name": name}, "spec": spec, "status": {}}


def evaluated(kubectl: Kubectl, name: str) -> int:
    """Return how many checkpoints the evaluation counts as evaluated."""
    status = kubectl.read("sidecarevaluation", name).get("status", {})
    return int(status.get("results", {}).get("counts", {}).get("evaluated", 0))


def evaluator_pod(kubectl: Kubectl, name: str) -> str:
    """Return the name of the evaluation's running pod."""

    def look() -> str | None:
        pods = kubectl.items("pods", PODS.format(name=name), "--field-selector=status.phase=Running")
        return next((pod["metadata"]["name"] for pod in pods), None)

    return wait_for(f"a running pod of {name}", look, CLUSTER_DEADLINE)
