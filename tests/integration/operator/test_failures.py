"""Jobs that fail: which failures end an evaluation, and what follows the others, with the operator's own rights."""

import pytest

from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import Node

RESTARTED = "sidecareval.dev/attempt"


def crashed(exit_code: int = 1, message: str = "No module named 'evaluate'") -> Object:
    """Return the status of a pod whose evaluator has ended with this code."""
    ended = {"exitCode": exit_code, "reason": "Error", "message": message}
    container = {"name": "evaluator", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    return {"phase": "Failed", "containerStatuses": [container | {"state": {"terminated": ended}}]}


def fail_seven_times(evaluations: Evaluations, watcher: Watcher, node: Node, pod_status: Object) -> None:
    """Let seven pods of the first Job of a new resource end like this."""
    evaluations.create()
    watcher.until_true(node.jobs)
    for _ in range(7):
        node.run_pod(pod_status)


def attempts(node: Node) -> list[str]:
    return [job["metadata"]["annotations"][RESTARTED] for job in node.jobs()]


def replaced(watcher: Watcher, node: Node) -> None:
    """Wait until the Job that failed is deleted, and remove it as the garbage collector does."""
    watcher.until_true(lambda: "deletionTimestamp" in node.jobs()[0]["metadata"])
    node.collect()


def test_a_job_that_failed_is_followed_by_another(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    node.run_pod(crashed())
    node.end_job("Failed", "backoff limit")
    replaced(watcher, node)
    watcher.until_true(lambda: attempts(node) == ["1"])
    watcher.until("Ready", "False", "EvaluatorStarting")
    assert watcher.condition("Finished")["status"] == "False"
    assert (watcher.status()["run"]["attempt"], watcher.status()["run"]["failures"]) == (1, 1)


def test_seven_failures_without_a_checkpoint_are_the_end(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    fail_seven_times(evaluations, watcher, node, crashed())
    node.end_job("Failed", "backoff limit")
    message = watcher.until("Stalled", "True", "EvaluatorFailed")["message"]
    assert "No module named 'evaluate'" in message
    assert attempts(node) == ["0"]


@pytest.mark.parametrize("exit_code", [75, 143])
def test_failures_from_outside_are_not_the_end(
    evaluations: Evaluations, watcher: Watcher, node: Node, exit_code: int
) -> None:
    fail_seven_times(evaluations, watcher, node, crashed(exit_code, "stopped"))
    node.end_job("Failed", "backoff limit")
    replaced(watcher, node)
    watcher.until_true(lambda: attempts(node) == ["1"])
    assert watcher.condition("Finished")["status"] == "False"


def test_checkpoints_settled_since_forgive_earlier_failures(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    fail_seven_times(evaluations, watcher, node, crashed())
    evaluations.apply_status({"results": {"counts": {"evaluated": 1}}}, "sidecar-evaluator")
    node.end_job("Failed", "backoff limit")
    replaced(watcher, node)
    watcher.until_true(lambda: attempts(node) == ["1"])
    assert watcher.status()["run"]["failures"] == 0


def test_a_job_keeps_through_a_change_that_its_pod_does_not_see(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    uid = node.jobs()[0]["metadata"]["uid"]
    evaluations.update({"spec": {"readyWhen": "FirstEvaluation", "suspend": True}})
    watcher.until_true(lambda: node.jobs()[0]["metadata"]["annotations"]["sidecareval.dev/generation"] == "2")
    assert [(job["metadata"]["uid"], job["spec"]["suspend"]) for job in node.jobs()] == [(uid, True)]


def held_open(exit_code: int) -> Object:
    """Return the status of a pod whose evaluator has ended while another container goes on."""
    status = crashed(exit_code)
    beside = {"name": "proxy", "image": "p", "imageID": "", "ready": True, "restartCount": 0}
    running = beside | {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    return {"phase": "Running", "containerStatuses": [*status["containerStatuses"], running]}


@pytest.mark.parametrize(("exit_code", "reason"), [(0, "Completed"), (78, "ConfigurationError")])
def test_an_end_beside_another_container_is_recorded_and_the_pod_stopped(
    evaluations: Evaluations, watcher: Watcher, node: Node, exit_code: int, reason: str
) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    evaluations.apply_status({"results": {"counts": {"evaluated": 1}}}, "sidecar-evaluator")
    node.run_pod(held_open(exit_code))
    watcher.until("Finished", "True", reason)
    replaced(watcher, node)
    assert node.jobs() == []
    assert watcher.condition("Succeeded")["status"] == ("False" if exit_code else "True")


def test_a_failure_beside_another_container_frees_the_gpu_at_once(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    node.run_pod(held_open(1))
    watcher.until("Ready", "False", "EvaluatorCrashed")
    replaced(watcher, node)
    watcher.until_true(lambda: attempts(node) == ["1"])
