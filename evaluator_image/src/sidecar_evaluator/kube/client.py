"""HTTP to the Kubernetes API server: JSON requests and watches, over connections that stay open.

`resource` alone uses it. In a cluster it speaks as the pod's ServiceAccount, whose token is read
anew for every request because it rotates; elsewhere the official client reads the kubeconfig,
where it is installed. Certificates are always verified. Nothing here knows what is asked for.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sidecar_evaluator.errors import ConfigurationError

if TYPE_CHECKING:
    import urllib3

Json = dict[str, Any]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 10.0
# A connection that died without a word is found dead within half a minute, also while a watch is silent on it.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class ApiError(Exception):
    """The API server refused; `reason` is HTTP's word for the status."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(f"{status} {reason}: {message}" if message else f"{status} {reason}")
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Access:
    """Where the API server is and who speaks to it.

    `headers` is asked before each request; `tls` are urllib3's names of files and of the server.
    """

    url: str
    headers: Callable[[], Mapping[str, str]] = dict
    tls: Mapping[str, str] = field(default_factory=dict)
    proxy: str | None = None


class ApiServer:
    """Requests to one API server, from any thread."""

    def __init__(self, access: Access) -> None:
        import urllib3

        options: Json = {"maxsize": 2, "cert_reqs": "CERT_REQUIRED", "socket_options": _socket_options(), **access.tls}
        self._access = access
        self._connections = (
            urllib3.ProxyManager(access.proxy, **options) if access.proxy else urllib3.PoolManager(**options)
        )

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """Make a request; return the object that answers it. It must be one that may be made twice.

        Raises ApiError: the server refuses. urllib3.exceptions.HTTPError: it does not answer.
        """
        import urllib3

        # Once more where the server closed an idle connection at this very moment.
        again = urllib3.Retry(1, redirect=False, allowed_methods=None, respect_retry_after_header=False)
        answer = self._connections.request(
            method,
            self._url(path, query),
            body=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": content_type, "Accept": "application/json", **self._access.headers()},
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_ANSWER_SECONDS),
            retries=again,
            redirect=False,
        )
        _require_success(answer)
        found: Json = json.loads(answer.data)
        return found

    def watch(self, path: str, query: Mapping[str, str], seconds: int) -> Iterator[Json]:
        """Yield the objects as they are now and after each change, until `seconds` have passed or the server ends it.

        Raises ApiError: the server refuses, at once or later. urllib3.exceptions.HTTPError: the connection broke.
        """
        import urllib3

        asked = {**query, "watch": "true", "timeoutSeconds": str(seconds), "allowWatchBookmarks": "true"}
        answer = self._connections.request(
            "GET",
            self._url(path, asked),
            headers={"Accept": "application/json", **self._access.headers()},
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds + _ANSWER_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        with closing(answer):
            _require_success(answer)
            for event in map(json.loads, _lines(answer.stream())):
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(status.get("code", 0), status.get("reason", ""), status.get("message", ""))
                if event["type"] != "BOOKMARK":
                    yield event["object"]

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return self._access.url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")


def find_access() -> Access:
    """Return the access of this pod's ServiceAccount, or that of the kubeconfig.

    Raises ConfigurationError: there is neither.
    """
    return in_cluster(os.environ, SERVICE_ACCOUNT) or by_kubeconfig()


def in_cluster(environment: Mapping[str, str], folder: Path) -> Access | None:
    """Return the access that Kubernetes gives to a pod, None where this is none."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    token, authority = folder / "token", folder / "ca.crt"
    if not (host and port and token.exists() and authority.exists()):
        return None
    address = f"[{host}]" if ":" in host else host
    return Access(
        f"https://{address}:{port}",
        lambda: {"Authorization": f"Bearer {token.read_text().strip()}"},
        {"ca_certs": str(authority)},
    )


def by_kubeconfig() -> Access:
    """Return the access of the kubeconfig's current context.

    Raises ConfigurationError: there is none, it cannot be read, or it does not verify the server.
    """
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise ConfigurationError(
            "--resource needs a cluster: run it in a pod, or use a kubeconfig with pip install "
            "'sidecar-evaluator[kubeconfig]'."
        ) from error
    found = client.Configuration()
    try:
        config.load_kube_config(client_configuration=found)
    except config.ConfigException as error:
        raise ConfigurationError(f"--resource needs a cluster, and none is configured: {error}") from error
    if not found.verify_ssl:
        raise ConfigurationError("The kubeconfig skips the verification of the server; give its certificate-authority.")
    tls = {
        "ca_certs": found.ssl_ca_cert,
        "cert_file": found.cert_file,
        "key_file": found.key_file,
        "server_hostname": found.tls_server_name,
    }
    return Access(
        found.host,
        lambda: _authorization(found),
        {name: str(value) for name, value in tls.items() if value},
        found.proxy,
    )


def _authorization(configuration: Any) -> dict[str, str]:
    value = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")  # renews it if need be
    return {"Authorization": value} if value else {}


def _require_success(answer: "urllib3.BaseHTTPResponse") -> None:
    if 200 <= answer.status < 300:
        return
    try:
        message = str(json.loads(answer.data).get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    raise ApiError(answer.status, answer.reason or "", message)


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut what arrives into lines; the rest of a line that never ended is dropped."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())


def _socket_options() -> list[tuple[int, int, int]]:
    known = [(getattr(socket, name), value) for name, value in _KEEP_ALIVE.items() if hasattr(socket, name)]
    return [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *((socket.IPPROTO_TCP, option, value) for option, value in known),
    ]
