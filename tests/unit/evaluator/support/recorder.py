"""An HTTP server in a thread that answers what the test says and remembers what it was asked."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


class Recorder(ThreadingHTTPServer):
    """Answers each request with the next of `answers`, (status, body), and after the last one with `otherwise`.

    A list as body is sent piece by piece. The body None closes the connection without an answer. `connections`
    counts those that were made.
    """

    daemon_threads = True

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []
        self.answers: list[tuple[int, str | list[str] | None]] = []
        self.otherwise: tuple[int, str | list[str] | None] = (200, "{}")
        self.connections = 0
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server_port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that refuse a certificate hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: Recorder
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        request = {"method": self.command, "path": self.path, "body": body, "headers": dict(self.headers)}
        self.server.requests.append(request)
        status, text = self.server.answers.pop(0) if self.server.answers else self.server.otherwise
        if text is None:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        pieces = text if isinstance(text, list) else None
        self.send_header(*(("Transfer-Encoding", "chunked") if pieces else ("Content-Length", str(len(text)))))
        self.end_headers()
        if pieces is None:
            self.wfile.write(str(text).encode())
        for piece in [*pieces, ""] if pieces else ():
            self.wfile.write(f"{len(piece):x}\r\n{piece}\r\n".encode())
            self.wfile.flush()

    do_GET = do_PATCH = answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass
