"""The operator as a process: its probe, its scope, and what it says when it cannot start."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import kopf
import pytest

from cluster.api_server import ApiServer
from cluster.processes import poll
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.process import OperatorProcess
from integration.policies.objects import RBAC, bind
from sidecar_operator.controller import UnhealthyError
from sidecar_operator.handlers import register_probe, watching_settings
from support.waiting import DEADLINE


def healthy() -> dict[str, float]:
    return {"age": 1.0}


def unhealthy() -> dict[str, float]:
    raise UnhealthyError("no resync")


async def first_answer(url: str) -> int:
    async with asyncio.timeout(DEADLINE), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    return answer.status
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(("check", "status"), [(healthy, 200), (unhealthy, 500)])
async def test_the_probe_fails_with_the_check(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, check: Callable[[], dict[str, float]], status: int
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/healthz"
    registry, stop = kopf.OperatorRegistry(), asyncio.Event()
    kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)
    register_probe(registry, check)
    watch = kopf.operator(
        registry=registry,
        settings=watching_settings(),
        standalone=True,
        clusterwide=True,
        liveness_endpoint=url,
        stop_flag=stop,
    )
    running = asyncio.create_task(watch)
    assert await first_answer(url) == status
    stop.set()
    await running


def test_an_operator_of_one_namespace_needs_rights_in_no_other(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, namespace: str, tmp_path: Path
) -> None:
    server.create_service_account("operator", namespace)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sidecar-operator"}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    binding = {"metadata": {"name": "operator"}, "roleRef": role, "subjects": [subject]}
    server.client.post(f"{RBAC}/{namespace}/rolebindings", binding)
    lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
    bind(server.client, namespace, "operator", [lease], role="lease")
    kubeconfig = server.kubeconfig_of(server.token("operator", namespace))
    single = OperatorProcess(
        kubeconfig, tmp_path / "log", {"WATCH_NAMESPACES": namespace, "LEASE_NAMESPACE": namespace}
    )
    single.start()
    evaluations.create()
    assert poll(lambda: single.metric("sidecareval_resource_condition", namespace=namespace), DEADLINE)
    assert single.stop() == 0


def test_a_server_that_cannot_be_reached_is_said_so(tmp_path: Path, server: ApiServer) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(server.kubeconfig.read_text().replace(server.url, "https://127.0.0.1:1"))
    environment = {"KUBECONFIG": str(nowhere), "EVALUATOR_IMAGE": "img:1"}
    ended = subprocess.run(
        [sys.executable, "-m", "sidecar_operator"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert ended.returncode == 1
    assert "cannot start" in ended.stderr
    assert "Traceback" not in ended.stderr
