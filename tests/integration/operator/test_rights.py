"""An evaluator's rights are mended by the watch of them, long before the next resync."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.node import Node
from integration.operator.process import OperatorProcess
from support.waiting import until

RBAC = "/apis/rbac.authorization.k8s.io/v1"
RIGHTS = {"serviceaccounts": "/api/v1", "roles": RBAC, "rolebindings": RBAC}
SETTLED_SECONDS = 11.0
"""Age of a resync that is none of the two soon after the start of an operator, which are 10 s apart."""


@pytest.fixture
def rarely(operator: OperatorProcess, tmp_path: Path) -> Iterator[OperatorProcess]:
    """Replace the operator by one that lists everything at its start, and then once in an hour."""
    assert operator.stop() == 0
    process = OperatorProcess(operator.kubeconfig, tmp_path / "log", {"RESYNC_SECONDS": "3600"})
    process.start()
    yield process
    assert process.stop() == 0, process.log.read_text()
    operator.start()


def resync_age(operator: OperatorProcess) -> float:
    return float(str(operator.health()["resync_age_seconds"]))


def test_rights_that_are_deleted_or_changed_come_back_without_a_resync(
    rarely: OperatorProcess, evaluations: Evaluations, node: Node
) -> None:
    def path(plural: str) -> str:
        return f"{RIGHTS[plural]}/namespaces/{node.namespace}/{plural}/mnist-evaluator"

    def stored(plural: str) -> Object:
        right: Object = node.client.get(path(plural))
        return right

    evaluations.create()
    until(node.jobs)
    until(lambda: resync_age(rarely) > SETTLED_SECONDS)
    before, age = {plural: stored(plural) for plural in RIGHTS}, resync_age(rarely)
    for plural in RIGHTS:
        node.client.request("DELETE", path(plural))
    until(lambda: all(node.client.answers(path(plural)) for plural in RIGHTS), rarely.log.read_text)
    for plural in RIGHTS:
        assert stored(plural)["metadata"]["uid"] != before[plural]["metadata"]["uid"]
    node.client.request("PATCH", path("roles"), {"rules": []}, "application/merge-patch+json")
    until(lambda: stored("roles")["rules"] == before["roles"]["rules"], rarely.log.read_text)
    assert resync_age(rarely) >= age
