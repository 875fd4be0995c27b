"""What `kubectl get` shows of a SidecarEvaluation, under each of its names."""

import re

import pytest

from demo.kubectl import Kubectl
from integration.evaluations import Evaluations, Object

BEST: Object = {"checkpoint": "ckpt-6", "outcome": "evaluated", "score": "accuracy=0.95"}
LATEST: Object = {"checkpoint": "ckpt-7", "step": 700, "outcome": "evaluated", "score": "accuracy=0.9312"}
READY: Object = {
    "type": "Ready",
    "status": "True",
    "lastTransitionTime": "2026-11-23T11:00:00Z",
    "reason": "EvaluatorRunning",
    "message": "",
}
STATUS: Object = {
    "conditions": [READY],
    "training": {"state": "Running"},
    "gate": {"result": "Pending"},
    "results": {"latest": LATEST, "best": BEST, "counts": {"evaluated": 7}, "backlog": 2},
}


def table(kubectl: Kubectl, *arguments: str) -> dict[str, str]:
    """Return the one row that kubectl prints, by column."""
    header, row = kubectl.run("get", *arguments).splitlines()
    return dict(zip(header.split(), re.split(r"\s{2,}", row.strip()), strict=True))


@pytest.mark.parametrize("named", ["sidecarevaluations", "sidecarevaluation", "seval", "ml"])
def test_columns(kubectl: Kubectl, evaluations: Evaluations, named: str) -> None:
    evaluations.create()
    evaluations.apply_status(STATUS, "test")
    shown = table(kubectl, named)
    assert shown.pop("AGE")
    assert shown == {
        "NAME": "mnist",
        "READY": "True",
        "REASON": "EvaluatorRunning",
        "STEP": "700",
        "SCORE": "accuracy=0.9312",
        "BEST": "accuracy=0.95",
        "GATE": "Pending",
        "EVALUATED": "7",
    }


def test_wide_columns(kubectl: Kubectl, evaluations: Evaluations) -> None:
    evaluations.create()
    evaluations.apply_status(STATUS, "test")
    shown = table(kubectl, "seval", "--output=wide")
    assert {"TRAINING": "Running", "BACKLOG": "2", "REASON": "EvaluatorRunning"}.items() <= shown.items()
