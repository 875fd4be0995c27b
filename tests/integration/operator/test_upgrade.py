"""Another version of the operator: what runs goes on, and another default image comes to a few at a time."""

from collections.abc import Iterator
from functools import partial

import pytest

from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import RUNNING, Node
from integration.operator.process import OperatorProcess

NAMES = ["a", "b", "c"]
NEXT = "sidecar-evaluator:next"


@pytest.fixture
def away(
    operator: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> Iterator[OperatorProcess]:
    """Let three evaluators run, and stop the operator; at the end the version that was there before is back."""
    for name in NAMES:
        evaluations.create(name=name)
        watcher.until_true(partial(node.jobs, name))
        node.run_pod(RUNNING, name)
        watcher.until("Ready", "True", "EvaluatorRunning", name)
    assert operator.stop() == 0
    before = dict(operator.environment)
    operator.environment |= {"WATCH_NAMESPACES": node.namespace, "EVALUATOR_IMAGE": NEXT}
    yield operator
    operator.stop()
    operator.environment.clear()
    operator.environment.update(before)
    operator.start()


def images(node: Node, name: str) -> list[str]:
    return [job["spec"]["template"]["spec"]["containers"][0]["image"] for job in node.jobs(name)]


def replaced(node: Node) -> list[str]:
    """Return the evaluations whose Job is being deleted or was made by the new version."""
    deleted = {name for name in NAMES for job in node.jobs(name) if "deletionTimestamp" in job["metadata"]}
    return sorted(deleted | {name for name in NAMES if images(node, name) != ["sidecar-evaluator:test"]})


def settled(operator: OperatorProcess, watcher: Watcher, passes: int = 18) -> None:
    """Wait until each resource was looked at several times, which takes longer than two looks at whose turn it is."""
    before = operator.metric("sidecareval_operator_reconcile_total") or 0
    watcher.until_true(lambda: (operator.metric("sidecareval_operator_reconcile_total") or 0) > before + passes)


def test_an_upgrade_restarts_no_evaluator(away: OperatorProcess, watcher: Watcher, node: Node) -> None:
    away.environment["ROLLOVERS"] = "0"
    uids = [job["metadata"]["uid"] for name in NAMES for job in node.jobs(name)]
    away.start()
    settled(away, watcher)
    assert [job["metadata"]["uid"] for name in NAMES for job in node.jobs(name)] == uids
    assert replaced(node) == []


def test_another_default_image_comes_to_one_after_the_other(
    away: OperatorProcess, watcher: Watcher, node: Node
) -> None:
    away.environment["ROLLOVERS"] = "1"
    away.start()
    for number, name in enumerate(NAMES, 1):
        watcher.until("Ready", "False", "ReplacingJob", name)
        settled(away, watcher)
        assert replaced(node) == NAMES[:number]
        node.collect(name)
        watcher.until("Ready", "False", "EvaluatorStarting", name)
        assert images(node, name) == [NEXT]
        settled(away, watcher)
        assert replaced(node) == NAMES[:number]  # the next one waits until this one is ready
        node.run_pod(RUNNING, name)


def test_a_completion_meanwhile_is_recorded_and_not_run_again(
    away: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.apply_status({"results": {"counts": {"evaluated": 1}}}, "sidecar-evaluator", "a")
    node.end_job("Complete", name="a")
    away.start()
    watcher.until("Succeeded", "True", "Completed", "a")
    watcher.until("Ready", "False", "ReplacingJob", "b")
    watcher.until_true(lambda: replaced(node) == ["b", "c"])
