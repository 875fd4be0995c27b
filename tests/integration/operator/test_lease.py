"""Two operators of one cluster: one works, the other waits for the Lease and says so, and takes over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.api_server import ApiServer
from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import Node
from integration.operator.process import OperatorProcess
from support.waiting import DEADLINE, until

LEASE = "/apis/coordination.k8s.io/v1/namespaces/sidecar-system/leases/sidecar-operator"


@pytest.fixture
def second(operator: OperatorProcess, tmp_path: Path) -> Iterator[OperatorProcess]:
    """Start another operator beside the first, as an upgrade that left the old one running would."""
    environment = {"EVALUATOR_IMAGE": "sidecar-evaluator:next", "POD_NAME": "second", "POD_UID": "0-1-2"}
    process = OperatorProcess(operator.kubeconfig, tmp_path / "log", environment)
    process.start()
    yield process
    assert process.stop() == 0, process.log.read_text()


def passes(operator: OperatorProcess) -> float:
    return operator.metric("sidecareval_operator_reconcile_total") or 0


def holder(server: ApiServer) -> str:
    spec: Object = server.client.get(LEASE)["spec"]
    return str(spec.get("holderIdentity", ""))


def test_two_operators_create_one_job(
    operator: OperatorProcess, second: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    uids, before = set[str](), passes(operator)

    def looked_often() -> bool:
        uids.update(job["metadata"]["uid"] for job in node.jobs())
        return passes(operator) > before + 20

    watcher.until_true(looked_often)
    assert len(uids) == 1
    assert passes(second) == 0


def test_the_one_that_waits_is_alive_and_says_for_whom(
    server: ApiServer, operator: OperatorProcess, second: OperatorProcess
) -> None:
    assert second.is_healthy()
    expected = f"waiting for Lease sidecar-system/sidecar-operator: {holder(server)} holds it; nothing is written"
    until(lambda: second.health()["lease"] == expected, second.log.read_text)
    assert operator.health()["lease"] == "held"
    assert expected in second.log.read_text()


def test_the_one_that_waits_takes_over(
    server: ApiServer, operator: OperatorProcess, second: OperatorProcess, evaluations: Evaluations, node: Node
) -> None:
    assert operator.stop() == 0
    evaluations.create()
    until(node.jobs, second.log.read_text)
    assert holder(server) == "second_0-1-2"
    operator.start()
    assert "second_0-1-2 holds it" in str(operator.health()["lease"])


def test_an_operator_that_has_lost_its_lease_ends(
    server: ApiServer, operator: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    until(lambda: operator.health()["lease"] == "held")
    taken = {"spec": {"holderIdentity": "somebody else", "leaseDurationSeconds": 1}}
    server.client.request("PATCH", LEASE, taken, "application/merge-patch+json")
    assert operator.process is not None
    assert operator.process.wait(DEADLINE) == 1
    assert "somebody else holds it" in operator.log.read_text()
    operator.start()
    evaluations.create()
    watcher.until_true(node.jobs)
