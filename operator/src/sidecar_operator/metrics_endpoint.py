"""The HTTP endpoint `/metrics`: the operator's own metrics, and those of all resources.

`__main__` starts it. It runs in threads of its own, so that a scrape delays no pass, and sends what it has in parts, so
that the text of thousands of resources is never in memory as a whole.
"""

import gzip
import threading
from collections.abc import Iterable, Iterator
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from sidecar_operator.metrics import ResourceMetrics


class MetricsEndpoint:
    """Answers scrapes on a port of its own until its block ends."""

    def __init__(self, port: int, registry: CollectorRegistry, resources: ResourceMetrics) -> None:
        self._registry = registry
        self._resources = resources
        self._server = make_server("", port, self._answer, _Server, _Handler)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_port

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if request["REQUEST_METHOD"] != "GET":
            start_response("405 Method Not Allowed", [("Allow", "GET")])
            return []
        headers = [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)]
        if "gzip" not in request.get("HTTP_ACCEPT_ENCODING", ""):
            start_response("200 OK", headers)
            return self._text()
        start_response("200 OK", [*headers, ("Content-Encoding", "gzip")])
        return self._compressed()

    def _text(self) -> Iterator[bytes]:
        yield generate_latest(self._registry)
        yield from self._resources.text()

    def _compressed(self) -> Iterator[bytes]:
        yield gzip.compress(generate_latest(self._registry))
        yield from self._resources.compressed()


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, which ends with the process."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Logs no request."""

    def log_message(self, *_: Any) -> None:
        """Log nothing."""
