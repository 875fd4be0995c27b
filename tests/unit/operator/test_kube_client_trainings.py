"""Requests about trainings, whose kinds belong to others: what an answer says of the object, and what of the kind."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import pytest
from kubernetes.aio.client import ApiClient

from sidecar_operator.api_paths import ServedKind
from sidecar_operator.kube_client import ExpiredError, KubeClient, NotFoundError, UnavailableError, error_of
from sidecar_operator.kube_objects import JsonObject, Page
from sidecar_operator.training_state import Absence
from unit.operator.support.samples import TRAINING_REF, training

GROUP = "/apis/kubeflow.org"
TRAINING = f"{GROUP}/v1/namespaces/team/tfjobs/train"
SERVED = {
    "resources": [{"name": "tfjobs", "kind": "TFJob"}, {"name": "tfjobs/status", "kind": "TFJob"}],
    "versions": [{"groupVersion": "kubeflow.org/v2"}, {"groupVersion": "kubeflow.org/v1"}],
}
MISSING = {"reason": "NotFound", "details": {"name": "train", "kind": "tfjobs"}, "message": "not found"}
PLAIN = b"404 page not found\n"


@dataclass
class Answer:
    """A response as the client library hands it out."""

    status: int
    body: bytes
    end: Exception | None = None
    """What breaks a stream after its last line."""
    headers: dict[str, str] = field(default_factory=dict)

    async def read(self) -> bytes:
        return self.body

    @property
    def response(self) -> "Answer":
        return self

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""

    @property
    async def content(self) -> AsyncIterator[bytes]:
        for line in self.body.splitlines():
            yield line
        if self.end:
            raise self.end


@dataclass
class Server:
    """An API server that answers by path, and 404 without naming anything for all others."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def serve(self, path: str, body: JsonObject, status: int = 200) -> None:
        self.answers[path] = Answer(status, json.dumps(body).encode())

    async def param_serialize(self, method: str, path: str, **_: Any) -> tuple[str, str]:
        return method, path

    async def call_api(self, _method: str, path: str, **_: Any) -> Answer:
        self.asked.append(path)
        return self.answers.get(path, Answer(404, PLAIN))


@pytest.fixture
def server() -> Server:
    server = Server()
    server.serve(f"{GROUP}/v1", SERVED)
    server.serve(TRAINING, training())
    return server


@pytest.fixture
def client(server: Server) -> KubeClient:
    return KubeClient(cast("ApiClient", server))


@pytest.mark.parametrize(
    ("text", "missing"), [(json.dumps(MISSING).encode(), "train"), (PLAIN, ""), (b'{"reason": "NotFound"}', "")]
)
def test_an_answer_that_names_no_object_says_nothing_of_it(text: bytes, missing: str) -> None:
    error = error_of(404, text)
    assert isinstance(error, NotFoundError)
    assert error.missing == missing


async def test_a_training_is_gone_only_if_the_answer_names_it(server: Server, client: KubeClient) -> None:
    assert isinstance(await client.read_training(TRAINING_REF), dict)
    server.serve(TRAINING, MISSING, 404)
    assert await client.read_training(TRAINING_REF) is Absence.NOT_FOUND
    server.answers[TRAINING] = Answer(404, PLAIN)
    assert await client.read_training(TRAINING_REF) is Absence.KIND_UNKNOWN


async def test_how_a_kind_is_served_is_found_out_once_and_again_after_it_is_missing(
    server: Server, client: KubeClient
) -> None:
    for _ in range(2):
        await client.read_training(TRAINING_REF)
    assert server.asked == [f"{GROUP}/v1", TRAINING, TRAINING]
    server.answers.clear()
    await client.read_training(TRAINING_REF)
    server.asked.clear()
    assert await client.read_training(TRAINING_REF) is Absence.KIND_UNKNOWN
    assert server.asked == [f"{GROUP}/v1", GROUP]


async def test_a_kind_is_read_in_another_version_where_its_own_is_no_longer_served(
    server: Server, client: KubeClient
) -> None:
    server.answers.clear()
    server.serve(GROUP, SERVED)
    server.serve(f"{GROUP}/v2", SERVED)
    assert await client.served_kind("kubeflow.org/v1", "TFJob") == ServedKind("kubeflow.org/v2", "tfjobs")
    await client.read_training(TRAINING_REF)
    assert server.asked[-1] == TRAINING.replace("v1", "v2")


async def test_a_training_that_may_not_be_read_says_so(server: Server, client: KubeClient) -> None:
    server.serve(TRAINING, {"message": "forbidden"}, 403)
    assert await client.read_training(TRAINING_REF) is Absence.FORBIDDEN


async def test_a_training_that_cannot_be_read_raises(server: Server, client: KubeClient) -> None:
    server.serve(TRAINING, {"message": "conversion webhook"}, 500)
    with pytest.raises(UnavailableError, match="conversion webhook"):
        await client.read_training(TRAINING_REF)


async def test_trainings_are_listed_in_pages(server: Server, client: KubeClient) -> None:
    server.serve(f"{GROUP}/v1/tfjobs", {"items": [training()], "metadata": {"resourceVersion": "7"}})
    pages: list[Page] = [page async for page in client.list_trainings(ServedKind("kubeflow.org/v1", "tfjobs"), None)]
    assert [(page.version, len(page.objects)) for page in pages] == [(7, 1)]
    assert await client.version_of_list(ServedKind("kubeflow.org/v1", "tfjobs"), None) == 7


WATCHED = ServedKind("kubeflow.org/v1", "tfjobs")
EVENTS = b'{"type": "ADDED"}\n{"type": "DELETED"}\n'


@pytest.mark.parametrize("end", [None, aiohttp.SocketTimeoutError()])
async def test_a_watch_ends_well_when_the_server_ends_it_or_falls_silent(
    server: Server, client: KubeClient, end: Exception | None
) -> None:
    server.answers[f"{GROUP}/v1/tfjobs"] = Answer(200, EVENTS, end)
    events = [event["type"] async for event in client.watch(WATCHED, None, "7")]
    assert events == ["ADDED", "DELETED"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(410, b"{}"), ExpiredError),
        (Answer(404, PLAIN), NotFoundError),
        (Answer(500, b"{}"), UnavailableError),
        (Answer(200, EVENTS, aiohttp.ClientPayloadError()), UnavailableError),
    ],
)
async def test_a_watch_that_fails_says_why(
    server: Server, client: KubeClient, answer: Answer, error: type[Exception]
) -> None:
    server.answers[f"{GROUP}/v1/tfjobs"] = answer
    with pytest.raises(error):
        _ = [event async for event in client.watch(WATCHED, None, "7")]
