"""What the evaluator says about itself, and its silence, on a real API server: conditions and Events."""

from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import RUNNING, Node

STARTED = "2026-01-01T00:00:00Z"
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def not_ready(since: str) -> Object:
    """Return the status of a pod that runs and fails its readiness probe."""
    ready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": since}
    return RUNNING | {"conditions": [{"type": "PodScheduled", "status": "True"}, ready]}


def say(evaluations: Evaluations, **results: Object | str) -> None:
    evaluations.apply_status({"results": results}, "sidecar-evaluator")


def name_of(pod: Object) -> str:
    name: str = pod["metadata"]["name"]
    return name


def events(node: Node, reason: str) -> list[str]:
    items: list[Object] = node.client.get(f"/api/v1/namespaces/{node.namespace}/events")["items"]
    return [event["message"] for event in items if event["reason"] == reason]


def test_what_is_in_the_evaluators_way_is_the_reason_of_ready(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    pod = node.run_pod(not_ready(since="2025-12-31T23:59:59Z"))
    problem = {"reason": "DirectoryMissing", "message": "/checkpoints/run-42/ckpt does not exist", "at": STARTED}
    say(evaluations, evaluator={"pod": name_of(pod), "startedAt": STARTED}, problem=problem)
    message = watcher.until("Ready", "False", "DirectoryMissing")["message"]
    assert "/checkpoints/run-42/ckpt does not exist (spec.checkpoints.path is 'run-42/ckpt'" in message
    node.set_pod_status(pod, RUNNING)
    problem = {"reason": "NoCheckpoints", "message": "/checkpoints/run-42/ckpt is empty", "at": STARTED}
    say(evaluations, evaluator={"pod": name_of(pod), "startedAt": STARTED}, problem=problem)
    assert "run-42/ckpt is empty" in watcher.until("Ready", "True", "EvaluatorRunning")["message"]


def test_an_evaluator_that_never_reports_is_told_from_one_that_builds_its_model(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    pod = node.run_pod(not_ready(since="2025-12-31T23:59:59Z"))
    message = watcher.until("Ready", "False", "EvaluatorNotReporting")["message"]
    assert f"has not written status.results since its start at {STARTED}" in message
    assert "NetworkPolicies" in message
    say(evaluations, evaluator={"pod": name_of(pod), "startedAt": STARTED})
    watcher.until("Ready", "False", "EvaluatorStarting")


def test_an_evaluator_that_can_no_longer_report_is_not_ready(
    evaluations: Evaluations, watcher: Watcher, node: Node, running: Object
) -> None:
    say(evaluations, evaluator={"pod": name_of(running), "startedAt": STARTED})
    node.set_pod_status(running, not_ready(since="2026-01-01T01:00:00Z"))
    message = watcher.until("Ready", "False", "EvaluatorNotReporting")["message"]
    assert "has failed its readiness probe since 2026-01-01T01:00:00Z" in message
    watcher.until_true(lambda: events(node, "EvaluatorNotReporting"))
    node.set_pod_status(running, RUNNING)
    watcher.until("Ready", "True", "EvaluatorRunning")


def test_a_change_of_the_code_is_said_in_a_condition_and_an_event(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create({"evaluator": {"code": {"configMap": {"name": "mnist-eval"}}}})
    watcher.until_true(node.jobs)
    pod = node.run_pod(RUNNING)
    watcher.until_true(lambda: watcher.status().get("evaluator") == {"pod": name_of(pod), "imageID": "i"})
    latest = {"checkpoint": "ckpt-1", "outcome": "evaluated", "codeDigest": OLD, "imageID": "i"}
    say(evaluations, evaluator={"pod": name_of(pod), "codeDigest": NEW}, latest=latest)
    assert "ConfigMap mnist-eval" in watcher.until("ResultsConsistent", "False", "CodeChanged")["message"]
    watcher.until_true(lambda: events(node, "CodeChanged"))
    began = {"reason": "CodeChanged", "message": "the code changed: laid aside", "at": STARTED}
    say(evaluations, evaluator={"pod": name_of(pod), "codeDigest": NEW}, beganAnew=began)
    assert watcher.until("ResultsConsistent", "True", "BeganAnew")["message"] == "the code changed: laid aside"
