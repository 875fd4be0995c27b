"""The requests that are sent for the resource, recorded by a real HTTP server."""

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar_evaluator.kube.client import ApiClient, ApiError, ClientConfig
from sidecar_evaluator.kube.resource import KubernetesResource, read_patiently, watch
from unit.evaluator.support.recorder import Recorder

PATH = "/apis/sidecareval.dev/v1alpha1/namespaces/ns/sidecarevaluations"


@pytest.fixture
def server() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def resource(server: Recorder) -> KubernetesResource:
    return KubernetesResource("ns/mnist", ApiClient(ClientConfig(server.url)))


def test_results_are_applied_by_server_side_apply(server: Recorder, resource: KubernetesResource) -> None:
    resource.apply_results({"backlog": 1})
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


FOUND = '{"metadata": {"uid": "u-1", "resourceVersion": "7"}, "status": {"results": {"backlog": 4}}}'


def test_the_resource_is_read(server: Recorder, resource: KubernetesResource) -> None:
    server.answers = [(200, FOUND)]
    assert resource.read()["status"]["results"] == {"backlog": 4}
    assert server.requests[0]["path"] == f"{PATH}/mnist"


def test_results_go_to_the_version_that_was_read(server: Recorder, resource: KubernetesResource) -> None:
    server.answers = [(200, FOUND), (200, FOUND)]
    resource.read()
    resource.apply_results({"backlog": 1})
    assert [request["method"] for request in server.requests] == ["GET", "GET", "PATCH"]
    assert json.loads(server.requests[-1]["body"])["metadata"]["resourceVersion"] == "7"


def test_results_go_to_no_other_resource_of_the_same_name(server: Recorder, resource: KubernetesResource) -> None:
    server.answers = [(200, FOUND), (200, FOUND.replace("u-1", "u-2"))]
    resource.read()
    with pytest.raises(ApiError, match="mnist was deleted"):
        resource.apply_results({"backlog": 1})
    assert [request["method"] for request in server.requests] == ["GET", "GET"]


@pytest.mark.parametrize(("conflicts", "fails"), [(1, False), (3, False), (4, True)])
def test_a_write_that_came_between_is_no_reason_to_lose_results(
    server: Recorder, resource: KubernetesResource, conflicts: int, fails: bool
) -> None:
    server.answers = [(200, FOUND), *[(200, FOUND), (409, "{}")] * conflicts, (200, FOUND), (200, "{}")]
    resource.read()
    with pytest.raises(ApiError, match="409") if fails else contextlib.nullcontext():
        resource.apply_results({"backlog": 1})
    assert server.requests[-1]["method"] == "PATCH"
    assert len(server.requests) == 1 + 2 * min(conflicts + 1, 4)


def states(*names: str) -> str:
    events = [{"type": "MODIFIED", "object": {"status": {"training": {"state": name}}}} for name in names]
    return "".join(json.dumps(event) + "\n" for event in events)


def test_the_resource_is_watched_through_errors_and_ends_of_watches(
    server: Recorder, resource: KubernetesResource
) -> None:
    server.answers = [(200, states("Running")), (500, "{}"), (410, "{}"), (200, states("Running", "Succeeded"))]
    stop, observed, failures = threading.Event(), list[str](), list[int]()

    def on_change(evaluation: dict[str, Any]) -> None:
        observed.append(evaluation["status"]["training"]["state"])
        if observed[-1] == "Succeeded":
            stop.set()

    watch(resource, on_change, lambda: failures.append(len(observed)), stop, pause=0.001)
    assert observed == ["Running", "Running", "Succeeded"]
    assert failures == [1, 1]
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
    resource = Flaky(ConnectionError("refused"), ApiError(503, "Unavailable"), ApiError(403, "Forbidden"))
    assert read_patiently(resource, threading.Event(), pause=0.001) == {"found": True}


@pytest.mark.parametrize("status", [403, 404])
def test_a_resource_that_may_not_be_read_for_a_while_is_waited_for(status: int) -> None:
    resource = Flaky(*(ApiError(status, "No") for _ in range(50)))
    assert read_patiently(resource, threading.Event(), pause=1e-9) == {"found": True}


@pytest.mark.parametrize("status", [403, 404])
def test_a_resource_that_stays_unreadable_is_no_configuration_error(status: int) -> None:
    with pytest.raises(ConnectionError, match="No; check --resource and the Role"):
        read_patiently(Flaky(*[ApiError(status, "No")] * 99), threading.Event(), pause=1e-9)


class Waits(threading.Event):
    """An event that never comes and costs no time; it notes how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return False


def test_the_pauses_grow_up_to_a_limit_and_last_for_long() -> None:
    waits = Waits()
    with pytest.raises(ConnectionError):
        read_patiently(Flaky(*[ApiError(403, "Forbidden")] * 99), waits)
    assert waits.seconds[:7] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert max(waits.seconds) == 60.0
    assert sum(waits.seconds) > 3000


def test_reading_gives_up_on_a_stop_and_after_its_attempts() -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(ConnectionError, match="cannot resume from its results"):
        read_patiently(Flaky(*[ConnectionError()] * 9), stopped)
    with pytest.raises(ConnectionError):
        read_patiently(Flaky(*[ConnectionError()] * 9), threading.Event(), attempts=3, pause=0.001)
