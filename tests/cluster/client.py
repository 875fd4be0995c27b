"""A small client of the API server, for what this package itself asks of it; tests use the real client library.

It speaks JSON over one connection a call, verifies the server's certificate and raises `ApiError` with the
server's own message.
"""

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Object = dict[str, Any]


class ApiError(Exception):
    """The API server refused: its HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True)
class Client:
    """Calls an API server as the user of a token."""

    url: str
    authority: str
    token: str

    def request(self, method: str, path: str, body: Object | None = None, content: str = "application/json") -> Any:
        """Call the API; return its JSON, or text where the answer is not JSON."""
        address = urlsplit(self.url)
        context = ssl.create_default_context(cadata=self.authority)
        connection = http.client.HTTPSConnection(address.hostname or "", address.port, timeout=120, context=context)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content, "Accept": "application/json"}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            return _answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Read an object or a list."""
        return self.request("GET", path)

    def post(self, path: str, body: Object) -> Any:
        """Create an object."""
        return self.request("POST", path, body)

    def apply(self, path: str, body: Object) -> Any:
        """Create or change an object by server-side apply; `path` names the object."""
        where = f"{path}?fieldManager=cluster&force=true"
        return self.request("PATCH", where, body, "application/apply-patch+yaml")

    def answers(self, path: str = "/readyz") -> bool:
        """Say whether the path can be read now."""
        try:
            self.get(path)
        except (OSError, http.client.HTTPException, ApiError):
            return False
        return True


def _answer(response: http.client.HTTPResponse) -> Any:
    text = response.read().decode()
    value = json.loads(text) if response.headers.get_content_type() == "application/json" else text
    if response.status >= 400:
        raise ApiError(response.status, value.get("message", text) if isinstance(value, dict) else text)
    return value
