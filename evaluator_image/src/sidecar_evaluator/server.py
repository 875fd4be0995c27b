"""The HTTP side: `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet.

Served from threads, so that it answers while an evaluation runs. It reads and never changes
anything.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from sidecar_evaluator.errors import ConfigurationError

_POLL_SECONDS = 0.1  # how soon `shutdown` is noticed

Check = Callable[[], bool]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


@dataclass(frozen=True)
class Application:
    """A WSGI application over a registry and two checks."""

    registry: CollectorRegistry
    is_alive: Check
    is_ready: Check

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = make_wsgi_app(self.registry)(environ, start_response)
            return answer
        checks = {"/healthz": self.is_alive, "/readyz": self.is_ready}
        if path not in checks:
            return _answer(start_response, "404 Not Found", b"try /metrics, /healthz or /readyz\n")
        if checks[path]():
            return _answer(start_response, "200 OK", b"ok\n")
        return _answer(start_response, "503 Service Unavailable", b"not ok\n")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: probes and scrapes come every few seconds."""


def serve(port: int, application: Application) -> WSGIServer:
    """Serve in the background; return the server, which `shutdown` stops.

    Raises ConfigurationError: the port is taken.
    """
    try:
        server = make_server("", port, application, server_class=_Server, handler_class=_SilentHandler)
    except OSError as error:
        raise ConfigurationError(f"Port {port} cannot be served: {error.strerror}; choose another --port.") from error
    threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="http", daemon=True).start()
    return server


def _answer(start_response: StartResponse, status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
