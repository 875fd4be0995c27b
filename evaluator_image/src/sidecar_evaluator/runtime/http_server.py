"""The HTTP server: `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet's probes.

`commands.run` starts it. Requests are served from threads, so that they are answered while an evaluation
runs. The server only reads state; it must not change any.
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

_POLL_SECONDS = 0.1  # how often the server checks for `shutdown`

Probe = Callable[[], bool]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


@dataclass(frozen=True)
class Application:
    """A WSGI application that serves the metrics of a registry and two probes."""

    registry: CollectorRegistry
    is_alive: Probe
    is_ready: Probe

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            response: Iterable[bytes] = make_wsgi_app(self.registry)(environ, start_response)
            return response
        probes = {"/healthz": self.is_alive, "/readyz": self.is_ready}
        if path not in probes:
            return _respond(start_response, "404 Not Found", b"try /metrics, /healthz or /readyz\n")
        if probes[path]():
            return _respond(start_response, "200 OK", b"ok\n")
        return _respond(start_response, "503 Service Unavailable", b"not ok\n")


class _Server(ThreadingMixIn, WSGIServer):
    """Listens on both IPv6 and IPv4: a cluster may use either."""

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        """Bind without a reverse DNS lookup of the host name, which can be slow."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base's signature
        """Log at debug level only: clients may close connections at any time."""
        _log.debug("A request failed.", exc_info=True)


class _SilentHandler(WSGIRequestHandler):
    timeout = 10  # seconds after which the thread of a silent client is released

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: probes and scrapes arrive every few seconds."""


def serve(port: int, application: Application) -> WSGIServer:
    """Serve in a background thread; return the server, which `shutdown` stops.

    Raises ConfigurationError: the port is in use or may not be bound.
    """
    try:
        server = make_server("", port, application, server_class=_Server, handler_class=_SilentHandler)
    except OSError as error:
        raise ConfigurationError(f"Port {port} cannot be served: {error.strerror}; choose another --port.") from error
    threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="http", daemon=True).start()
    return server


def _respond(start_response: StartResponse, status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
