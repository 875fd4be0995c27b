import json

import pytest

from sidecar_operator.events import Transition, event_of
from sidecar_operator.kube_client import (
    LONGEST_WAIT,
    ApiError,
    ConflictError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    error_of,
    path_of,
)
from sidecar_operator.kube_objects import KubeObject
from unit.operator.support.samples import evaluation


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedError),
        (401, UnavailableError),
        (403, RefusedError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, RefusedError),
        (429, UnavailableError),
        (500, UnavailableError),
        (504, UnavailableError),
    ],
)
def test_errors_by_what_can_be_done(status: int, kind: type[ApiError]) -> None:
    error = error_of(status, json.dumps({"message": "because"}).encode())
    assert type(error) is kind
    assert (error.status, str(error)) == (status, "because")


@pytest.mark.parametrize(
    ("text", "message"), [(b"plain text", "plain text"), (b"", "HTTP 502"), (b"[]", "[]"), (b"{}", "{}")]
)
def test_a_response_that_is_not_a_status(text: bytes, message: str) -> None:
    assert str(error_of(502, text)) == message


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("", 0), ("soon", 0), ("-1", 0), ("86400", LONGEST_WAIT)])
def test_how_long_the_api_server_asks_to_wait(header: str, seconds: float) -> None:
    assert error_of(429, b"", header).retry_after == seconds


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("v1", "pods", "team"), "/api/v1/namespaces/team/pods"),
        (("batch/v1", "jobs"), "/apis/batch/v1/jobs"),
        (("batch/v1", "jobs", "team", "a"), "/apis/batch/v1/namespaces/team/jobs/a"),
        (("kubeflow.org/v1",), "/apis/kubeflow.org/v1"),
    ],
)
def test_paths(parts: tuple[str, ...], path: str) -> None:
    assert path_of(*parts) == path


def test_an_event_names_the_resource_and_its_time() -> None:
    event = event_of(KubeObject(evaluation()), Transition("Warning", "ImageNotPulled", "x" * 5000), 1.5, "host")
    assert event["regarding"]["uid"] == "uid-mnist"
    assert event["eventTime"] == "1970-01-01T00:00:01.500000Z"
    assert (event["type"], event["reason"], len(event["note"])) == ("Warning", "ImageNotPulled", 1000)
