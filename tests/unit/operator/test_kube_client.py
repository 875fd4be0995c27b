import json

import pytest

from sidecar_operator.kube_client import (
    LONGEST_WAIT,
    PAGE,
    ApiError,
    ConflictError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    error_of,
    page_limit,
)


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
