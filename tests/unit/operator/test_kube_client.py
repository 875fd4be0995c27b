import json
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from kubernetes.aio.client import ApiClient

from sidecar_operator.events import Transition
from sidecar_operator.kube_client import (
    LONGEST_WAIT,
    PAGE,
    ApiError,
    ConflictError,
    KubeClient,
    NotFoundError,
    RefusedError,
    UnavailableError,
    error_of,
    page_limit,
)
from sidecar_operator.kube_objects import KubeObject
from unit.operator.support.samples import evaluation, job


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
    ("size", "count", "limit"), [(0, 0, 1), (20_000, 20, PAGE), (1 << 20, 20, 20), (1 << 24, 20, 1), (1 << 28, 1, 1)]
)
def test_pages_of_large_objects_have_fewer(size: int, count: int, limit: int) -> None:
    assert page_limit(size, count) == limit


JOB = KubeObject(job(evaluation()))
WRITES: list[Callable[[KubeClient], Awaitable[object]]] = [
    lambda client: client.create(JOB.raw),
    lambda client: client.apply(JOB.raw),
    lambda client: client.patch(JOB, {}),
    lambda client: client.delete_job(JOB),
    lambda client: client.apply_status(KubeObject(evaluation()), {}),
    lambda client: client.publish_event(JOB, Transition("Normal", "Reason", "message")),
]


@pytest.mark.parametrize("write", WRITES, ids=["create", "apply", "patch", "delete", "status", "event"])
async def test_nothing_is_written_without_the_lease(write: Callable[[KubeClient], Awaitable[object]]) -> None:
    nowhere = cast("ApiClient", None)
    with pytest.raises(UnavailableError, match="was not sent: this operator does not hold its Lease"):
        await write(KubeClient(nowhere, may_write=lambda: False))
