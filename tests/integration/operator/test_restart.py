"""The operator may be away at any time: whatever happens meanwhile is found out afterwards, and nothing twice."""

from collections.abc import Iterator

import pytest

from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import Node
from integration.operator.process import OperatorProcess


@pytest.fixture
def away(operator: OperatorProcess, running: Object) -> Iterator[OperatorProcess]:
    """Stop the operator once mnist is running; it is started again at the end if the test has not done so."""
    assert operator.stop() == 0
    yield operator
    if operator.process is None or operator.process.poll() is not None:
        operator.start()


def settled(operator: OperatorProcess, watcher: Watcher) -> None:
    """Wait until the operator has looked at everything."""
    watcher.until_true(lambda: (operator.metric("sidecareval_operator_reconcile_total") or 0) > 20)


def test_a_restart_changes_nothing(
    away: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    before = evaluations.read()["metadata"]["resourceVersion"], [job["metadata"]["uid"] for job in node.jobs()]
    away.start()
    settled(away, watcher)
    assert (
        evaluations.read()["metadata"]["resourceVersion"],
        [job["metadata"]["uid"] for job in node.jobs()],
    ) == before


def test_a_spec_that_was_changed_meanwhile_never_runs_twice(
    away: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    old = node.jobs()[0]["metadata"]["name"]
    evaluations.update({"spec": {"evaluator": {"steps": 5}}})
    away.start()
    watcher.until("Ready", "False", "ReplacingJob")
    assert [job["metadata"]["name"] for job in node.jobs()] == [old]
    node.collect()
    watcher.until("Ready", "False", "EvaluatorStarting")


def test_an_end_that_came_meanwhile_is_reported(
    away: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.apply_status({"results": {"counts": {"evaluated": 1}}}, "sidecar-evaluator")
    node.end_job("Complete")
    away.start()
    watcher.until("Succeeded", "True", "Completed")


def test_a_deletion_meanwhile_leaves_nothing_to_do(
    away: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.client.request("DELETE", evaluations.path("mnist"))
    for job in node.jobs():  # the garbage collector's work, which needs no operator
        node.delete("/apis/batch/v1", "jobs", job)
    away.start()
    settled(away, watcher)
    assert node.jobs() == []
    assert away.metric("sidecareval_resource_info", namespace=node.namespace) is None
