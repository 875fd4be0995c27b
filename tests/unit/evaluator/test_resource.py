"""Calls to the API server, against a real HTTP server that records them."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kubernetes.client
import kubernetes.config
import pytest

from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.resource import KubernetesResource, read_patiently, watch_training

PATH = "/apis/sidecareval.dev/v1alpha1/namespaces/ns/sidecarevaluations"


class Recorder(ThreadingHTTPServer):
    """An API server that answers from a list and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        self.answers: list[tuple[int, str]] = []

    def answer(self, request: dict[str, Any]) -> tuple[int, str]:
        self.requests.append(request)
        return self.answers.pop(0) if self.answers else (200, "{}")


class Handler(BaseHTTPRequestHandler):
    server: Recorder

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        request = {"method": self.command, "path": self.path, "body": body, "headers": dict(self.headers)}
        status, text = self.server.answer(request)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_PATCH = handle_any  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder()
    threading.Thread(target=recorder.serve_forever, args=(0.01,), daemon=True).start()

    def load_incluster_config() -> None:
        configuration = kubernetes.client.Configuration()
        configuration.host = f"http://127.0.0.1:{recorder.server_port}"
        kubernetes.client.Configuration.set_default(configuration)

    monkeypatch.setattr(kubernetes.config, "load_incluster_config", load_incluster_config)
    yield recorder
    recorder.shutdown()
    recorder.server_close()


def test_results_are_applied_by_server_side_apply(server: Recorder) -> None:
    KubernetesResource("ns/mnist").apply_results({"backlog": 1})
    (request,) = server.requests
    path, _, query = request["path"].partition("?")
    assert (request["method"], path) == ("PATCH", f"{PATH}/mnist/status")
    assert set(query.split("&")) == {"fieldManager=sidecar-evaluator", "force=true"}
    assert request["headers"]["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(request["body"]) == {
        "apiVersion": "sidecareval.dev/v1alpha1",
        "kind": "SidecarEvaluation",
        "metadata": {"name": "mnist", "namespace": "ns"},
        "status": {"results": {"backlog": 1}},
    }


FOUND = '{"metadata": {"uid": "u-1"}, "status": {"results": {"backlog": 4}}}'


def test_the_resource_is_read(server: Recorder) -> None:
    server.answers = [(200, FOUND)]
    assert KubernetesResource("ns/mnist").read()["status"]["results"] == {"backlog": 4}
    assert server.requests[0]["path"] == f"{PATH}/mnist"


def test_results_go_to_the_object_that_was_read_and_to_no_other_of_its_name(server: Recorder) -> None:
    server.answers = [(200, FOUND)]
    resource = KubernetesResource("ns/mnist")
    resource.read()
    resource.apply_results({"backlog": 1})
    assert json.loads(server.requests[-1]["body"])["metadata"]["uid"] == "u-1"


def states(*names: str) -> str:
    events = [{"type": "MODIFIED", "object": {"status": {"training": {"state": name}}}} for name in names]
    return "".join(json.dumps(event) + "\n" for event in events)


def test_the_training_is_watched_through_errors_and_ends_of_watches(server: Recorder) -> None:
    server.answers = [(200, states("Running")), (500, "{}"), (410, "{}"), (200, states("Running", "Succeeded"))]
    stop, seen = threading.Event(), list[str]()

    def on_state(state: str) -> None:
        seen.append(state)
        if state == "Succeeded":
            stop.set()

    watch_training(KubernetesResource("ns/mnist"), on_state, stop, pause=0.001)
    assert seen == ["Running", "Running", "Succeeded"]
    assert "fieldSelector=metadata.name%3Dmnist" in server.requests[0]["path"]
    assert "watch=" in server.requests[0]["path"]


class Flaky:
    """A resource that answers from a list of errors first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def read(self) -> dict[str, Any]:
        if self.errors:
            raise self.errors.pop(0)
        return {"found": True}

    def apply_results(self, results: dict[str, Any]) -> None:
        raise NotImplementedError

    def changes(self) -> Iterator[dict[str, Any]]:
        raise NotImplementedError


def test_reading_waits_for_an_api_server_that_is_away() -> None:
    api_error = kubernetes.client.ApiException
    resource = Flaky(ConnectionError("refused"), api_error(status=503), api_error(status=403))
    assert read_patiently(resource, threading.Event(), pause=0.001) == {"found": True}


@pytest.mark.parametrize("status", [403, 404])
def test_a_resource_that_stays_unreadable_is_a_configuration_error(status: int) -> None:
    resource = Flaky(*(kubernetes.client.ApiException(status=status, reason="No") for _ in range(50)))
    with pytest.raises(ConfigurationError, match="cannot be read: No"):
        read_patiently(resource, threading.Event(), pause=0.001)


def test_reading_gives_up_on_a_stop_and_after_its_attempts() -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(ConnectionError, match="needed to go on"):
        read_patiently(Flaky(*[ConnectionError()] * 9), stopped)
    with pytest.raises(ConnectionError):
        read_patiently(Flaky(*[ConnectionError()] * 9), threading.Event(), attempts=3, pause=0.001)


def test_without_any_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise kubernetes.config.ConfigException("no configuration")

    monkeypatch.setattr(kubernetes.config, "load_incluster_config", missing)
    monkeypatch.setattr(kubernetes.config, "load_kube_config", missing)
    with pytest.raises(ConfigurationError, match="--resource needs a cluster"):
        KubernetesResource("ns/mnist")
