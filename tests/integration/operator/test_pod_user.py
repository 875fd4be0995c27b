"""What clusters ask of a pod: user and groups of their own choice, and when its image is pulled."""

import pytest

from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import RUNNING, Node

FIELDS = ("runAsUser", "runAsGroup", "fsGroup")
OF_A_RANGE = {"runAsUser": 1000720000, "runAsGroup": 0, "fsGroup": 1000720000}


@pytest.mark.parametrize(
    ("context", "expected"),
    [(None, dict.fromkeys(FIELDS, 65532)), ({}, {}), (OF_A_RANGE, OF_A_RANGE)],
    ids=["default", "of the platform", "of a range"],
)
def test_its_pod_is_admitted_where_only_restricted_pods_are(
    evaluations: Evaluations, watcher: Watcher, node: Node, context: Object | None, expected: Object
) -> None:
    evaluations.create({"evaluator": {"securityContext": context}} if context is not None else {})
    watcher.until_true(node.jobs)
    security = node.run_pod(RUNNING)["spec"]["securityContext"]
    assert {field: security[field] for field in FIELDS if field in security} == expected
    assert security["runAsNonRoot"] is True
    watcher.until("Ready", "True", "EvaluatorRunning")


@pytest.mark.parametrize(
    ("evaluator", "policy"),
    [
        ({"image": "registry.example/eval:1"}, "IfNotPresent"),
        ({"image": "registry.example/eval:latest"}, "Always"),
        ({"image": "registry.example/eval:nightly", "imagePullPolicy": "Always"}, "Always"),
    ],
    ids=["a tag", "latest", "as asked for"],
)
def test_its_image_is_pulled_by_the_rule_of_kubernetes_or_as_asked_for(
    evaluations: Evaluations, watcher: Watcher, node: Node, evaluator: Object, policy: str
) -> None:
    evaluations.create({"evaluator": evaluator})
    watcher.until_true(node.jobs)
    assert node.jobs()[0]["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == policy
