"""The operator, running with its own rights, and a resource to look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from cluster.api_server import ApiServer
from cluster.client import Object
from cluster.processes import poll
from integration.evaluations import Evaluations
from integration.installed import installed_server
from integration.operator.node import RUNNING, Node
from integration.operator.process import OperatorProcess
from support.waiting import DEADLINE


@dataclass(frozen=True)
class Watcher:
    """Waits for what the operator does; a failure shows the status that was reached instead."""

    evaluations: Evaluations

    def condition(self, condition_type: str, name: str = "mnist") -> Object:
        """Return a condition, empty where it is absent."""
        conditions = self.evaluations.read(name)["status"].get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == condition_type), {})

    def until(self, condition_type: str, status: str, reason: str, name: str = "mnist") -> Object:
        """Wait until a condition has this status and reason, and return it."""

        def reached() -> bool:
            condition = self.condition(condition_type, name)
            return (condition.get("status"), condition.get("reason")) == (status, reason)

        assert poll(reached, DEADLINE), self.evaluations.read(name)["status"]
        return self.condition(condition_type, name)

    def until_true(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        assert poll(lambda: bool(holds()), DEADLINE)

    def status(self, name: str = "mnist") -> Object:
        """Return the status."""
        status: Object = self.evaluations.read(name)["status"]
        return status


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Return a server for these tests alone, because the operator would change the objects of the others."""
    with installed_server(tmp_path_factory.mktemp("api-server")) as server:
        yield server


@pytest.fixture(scope="session")
def operator(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """Return a running operator that has the ServiceAccount of deploy/base."""
    kubeconfig = server.kubeconfig_of(server.token("sidecar-operator", "sidecar-system"))
    process = OperatorProcess(kubeconfig, tmp_path_factory.mktemp("operator") / "log")
    process.start()
    yield process
    assert process.stop() == 0, process.log.read_text()


@pytest.fixture
def node(server: ApiServer, namespace: str) -> Node:
    """Return the stand-in for the controllers in the test's namespace."""
    return Node(server.client, namespace)


@pytest.fixture
def watcher(operator: OperatorProcess, evaluations: Evaluations) -> Watcher:
    """Return a watcher of the test's namespace, with the operator running."""
    return Watcher(evaluations)


@pytest.fixture
def running(evaluations: Evaluations, watcher: Watcher, node: Node) -> Object:
    """Create the resource mnist, let its pod run, and return the pod."""
    evaluations.create()
    watcher.until_true(node.jobs)
    pod = node.run_pod(RUNNING)
    watcher.until("Ready", "True", "EvaluatorRunning")
    return pod
