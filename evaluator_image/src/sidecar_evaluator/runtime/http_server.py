"""The HTTP side: `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet.

Served from threads, so that it answers while an evaluation runs. It reads and never changes
anything.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from sidecar_evaluator.errors import ConfigurationError

_log = logging.getLogger(__name__)

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
    """Listens on IPv6 and IPv4 alike: a cluster may have either."""

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        """Bind without asking the name service for this machine's name, which can take long."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base's signature
        """Log for debugging alone: clients come and go as they like."""
        _log.debug("A request was not answered.", exc_info=True)


class _SilentHandler(WSGIRequestHandler):
    timeout = 10  # a client that says nothing holds a thread no longer

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
