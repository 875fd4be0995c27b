"""The sample for Kubeflow: a TFJob under the real training operator, and its evaluation."""

from pathlib import Path

import pytest

from demo import table
from demo.install import DEPLOY
from demo.kubectl import Kubectl, Manifest
from e2e import scoring
from e2e.conftest import NewNamespace, wait_until_finished

SAMPLE = DEPLOY / "samples" / "tfjob-mnist.yaml"
ENTRYPOINT = DEPLOY / "samples" / "demo" / "evaluate.py"
NAME = "mnist"


@pytest.fixture(scope="module")
def namespace(new_namespace: NewNamespace) -> Kubectl:
    kubectl = new_namespace("tfjob")
    kubectl.apply(SAMPLE.read_text())
    return kubectl


@pytest.fixture(scope="module")
def finished(namespace: Kubectl) -> Manifest:
    return wait_until_finished(namespace, NAME)


def test_the_evaluation_follows_the_tfjob_to_its_end(namespace: Kubectl, finished: Manifest) -> None:
    conditions = namespace.read("tfjob", NAME)["status"]["conditions"]
    assert {"Succeeded"} <= {one["type"] for one in conditions if one["status"] == "True"}
    assert finished["status"]["training"]["state"] == "Succeeded", scoring.as_json(finished)
    assert table.is_true(finished["status"], "Succeeded"), scoring.as_json(finished)


def test_the_last_checkpoint_has_the_score_of_model_evaluate(namespace: Kubectl, finished: Manifest) -> None:
    path: str = finished["spec"]["checkpoints"]["path"]
    folder: Path = scoring.claim_folder(namespace, "runs") / path
    latest = finished["status"]["results"]["latest"]
    assert latest["checkpoint"] == scoring.checkpoint_names(folder)[-1]
    expected = scoring.evaluate_by_hand(ENTRYPOINT, folder, latest["checkpoint"])
    assert scoring.scores_of(latest) == pytest.approx(expected, abs=scoring.TOLERANCE)
