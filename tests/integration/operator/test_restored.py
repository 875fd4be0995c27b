"""The API server's database is restored from a backup while the operator runs: versions go backwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.api_server import ApiServer
from integration.evaluations import Evaluations
from integration.installed import installed_server
from integration.operator.conftest import Watcher
from integration.operator.process import OperatorProcess


@pytest.fixture
def restorable(tmp_path: Path) -> Iterator[ApiServer]:
    """Return a server of its own: going back would confuse all other tests."""
    with installed_server(tmp_path / "api") as server:
        server.create_namespace("team")
        yield server


@pytest.fixture
def bystander(restorable: ApiServer, tmp_path: Path) -> Iterator[OperatorProcess]:
    """Return an operator that runs meanwhile."""
    kubeconfig = restorable.kubeconfig_of(restorable.token("sidecar-operator", "sidecar-system"))
    process = OperatorProcess(kubeconfig, tmp_path / "log")
    process.start()
    yield process
    process.stop()


def test_what_was_restored_is_served_without_a_restart(restorable: ApiServer, bystander: OperatorProcess) -> None:
    evaluations = Evaluations(restorable.client, "team")
    watcher = Watcher(evaluations)
    evaluations.create(name="before")
    watcher.until("Ready", "False", "EvaluatorStarting", "before")
    restorable.back_up()
    for number in range(50):
        evaluations.update({"metadata": {"annotations": {"example.dev/number": str(number)}}}, "before")
    evaluations.create(name="lost")
    watcher.until("Ready", "False", "EvaluatorStarting", "lost")
    restorable.restore()
    evaluations.update({"spec": {"suspend": True}}, "before")
    watcher.until("Ready", "False", "Suspended", "before")
    evaluations.create(name="after")
    watcher.until("Ready", "False", "EvaluatorStarting", "after")
    assert bystander.process is not None
    assert bystander.process.poll() is None
