import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.api_server import ApiServer
from cluster.client import ApiError
from cluster.processes import ProcessRecord
from support.waiting import until

POD = {"metadata": {"name": "evaluator"}, "spec": {"containers": [{"name": "evaluator", "image": "none"}]}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer.start(tmp_path_factory.mktemp("api") / "server") as started:
        started.create_namespace("team")
        yield started


def review(server: ApiServer, token: str) -> dict[str, list[str]]:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = server.client_of(token).post("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    extra: dict[str, list[str]] = answer["status"]["userInfo"]["extra"]
    return extra


def test_a_token_is_bound_to_its_pod(server: ApiServer) -> None:
    server.client.post("/api/v1/namespaces/team/pods", POD)
    extra = review(server, server.token("default", "team", pod="evaluator"))
    assert extra["authentication.kubernetes.io/pod-name"] == ["evaluator"]
    assert "authentication.kubernetes.io/pod-name" not in review(server, server.token("default", "team"))


def test_a_service_account_has_no_rights_until_it_is_given_some(server: ApiServer) -> None:
    with pytest.raises(ApiError) as refused:
        server.client_of(server.token("default", "team")).get("/api/v1/namespaces/team/secrets")
    assert refused.value.status == 403


def test_pod_security_admission_is_at_work(server: ApiServer) -> None:
    server.create_namespace("strict", {"pod-security.kubernetes.io/enforce": "restricted"})
    with pytest.raises(ApiError, match="violates PodSecurity"):
        server.client.post("/api/v1/namespaces/strict/pods", POD)


def test_another_runs_beside_it_with_objects_of_its_own(server: ApiServer, tmp_path: Path) -> None:
    with ApiServer.start(tmp_path / "second") as second:
        assert second.url != server.url
        assert not second.client.answers("/api/v1/namespaces/team")
    assert server.client.answers("/api/v1/namespaces/team")


def test_both_processes_die_with_the_test_process_however_it_ends(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from cluster.api_server import ApiServer
server = ApiServer.start(Path({str(tmp_path / "server")!r}))
print(*(process.pid for process in server.processes), flush=True)
time.sleep(3600)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        records = [ProcessRecord.of(int(pid)) for pid in process.stdout.readline().split()]
        assert len(records) == 2
        process.send_signal(signal.SIGKILL)
    until(lambda: not any(record.alive() for record in records))
