"""A client for the Kubernetes API server: JSON requests and watches over pooled HTTP connections.

Only `kube.resource` uses it. In a cluster it authenticates with the pod's ServiceAccount token, which it reads
for every request because the token is rotated; elsewhere the official client loads the kubeconfig, if that
client is installed. Certificates are always verified. This module must not know which resources are requested.
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
_CONNECT_SECONDS, _RESPONSE_SECONDS = 5.0, 10.0
# TCP keep-alive detects a dead connection within half a minute, even while a watch sends no events.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class ApiError(Exception):
    """A non-2xx response of the API server; `reason` is the HTTP reason phrase."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(f"{status} {reason}: {message}" if message else f"{status} {reason}")
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class ClientConfig:
    """The URL of the API server and how to authenticate to it.

    `headers` is called before each request; `tls` holds urllib3's TLS arguments: file names and the server name.
    """

    url: str
    headers: Callable[[], Mapping[str, str]] = dict
    tls: Mapping[str, str] = field(default_factory=dict)
    proxy: str | None = None


class ApiClient:
    """A client of one API server; any thread may call it."""

    def __init__(self, config: ClientConfig) -> None:
        import urllib3

        options: Json = {"maxsize": 2, "cert_reqs": "CERT_REQUIRED", "socket_options": _socket_options(), **config.tls}
        self._config = config
        self._pool = urllib3.ProxyManager(config.proxy, **options) if config.proxy else urllib3.PoolManager(**options)

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """Send an idempotent request and return the object in the response.

        Raises ApiError: the response is not 2xx. urllib3.exceptions.HTTPError: there is no response.
        """
        import urllib3

        # One retry: the server may close an idle connection just before the request is sent on it.
        retry = urllib3.Retry(1, redirect=False, allowed_methods=None, respect_retry_after_header=False)
        response = self._pool.request(
            method,
            self._url(path, query),
            body=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": content_type, "Accept": "application/json", **self._config.headers()},
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_RESPONSE_SECONDS),
            retries=retry,
            redirect=False,
        )
        _require_success(response)
        received: Json = json.loads(response.data)
        return received

    def watch(self, path: str, query: Mapping[str, str], seconds: int) -> Iterator[Json]:
        """Yield the current objects and each changed one, until `seconds` have passed or the server ends the watch.

        Raises ApiError: the response is not 2xx, or a later event is an error.
        urllib3.exceptions.HTTPError: the connection broke.
        """
        import urllib3

        watch_query = {**query, "watch": "true", "timeoutSeconds": str(seconds), "allowWatchBookmarks": "true"}
        response = self._pool.request(
            "GET",
            self._url(path, watch_query),
            headers={"Accept": "application/json", **self._config.headers()},
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds + _RESPONSE_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        with closing(response):
            _require_success(response)
            for event in map(json.loads, _lines(response.stream())):
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(status.get("code", 0), status.get("reason", ""), status.get("message", ""))
                if event["type"] != "BOOKMARK":
                    yield event["object"]

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return self._config.url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")


def load_config() -> ClientConfig:
    """Return the configuration of this pod's ServiceAccount, or else that of the kubeconfig.

    Raises ConfigurationError: there is neither.
    """
    return load_incluster_config(os.environ, SERVICE_ACCOUNT) or load_kubeconfig()


def load_incluster_config(environment: Mapping[str, str], folder: Path) -> ClientConfig | None:
    """Return the configuration that Kubernetes mounts into a pod, None outside a pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    token, authority = folder / "token", folder / "ca.crt"
    if not (host and port and token.exists() and authority.exists()):
        return None
    address = f"[{host}]" if ":" in host else host
    return ClientConfig(
        f"https://{address}:{port}",
        lambda: {"Authorization": f"Bearer {token.read_text().strip()}"},
        {"ca_certs": str(authority)},
    )


def load_kubeconfig() -> ClientConfig:
    """Return the configuration of the kubeconfig's current context.

    Raises ConfigurationError: there is no kubeconfig, it cannot be read, or it disables TLS verification.
    """
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise ConfigurationError(
            "--resource needs a cluster: run the evaluator in a pod, or install the kubeconfig support with "
            "pip install 'sidecar-evaluator[kubeconfig]'."
        ) from error
    configuration = client.Configuration()
    try:
        config.load_kube_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise ConfigurationError(
            f"--resource needs a cluster, and the kubeconfig cannot be loaded: {error}; run the evaluator in a pod, "
            "or set KUBECONFIG."
        ) from error
    if not configuration.verify_ssl:
        raise ConfigurationError(
            "The kubeconfig sets insecure-skip-tls-verify, which is not supported; set certificate-authority instead."
        )
    tls = {
        "ca_certs": configuration.ssl_ca_cert,
        "cert_file": configuration.cert_file,
        "key_file": configuration.key_file,
        "server_hostname": configuration.tls_server_name,
    }
    return ClientConfig(
        configuration.host,
        lambda: _authorization(configuration),
        {name: str(value) for name, value in tls.items() if value},
        configuration.proxy,
    )


def _authorization(configuration: Any) -> dict[str, str]:
    value = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")  # refreshes it if expired
    return {"Authorization": value} if value else {}


def _require_success(response: "urllib3.BaseHTTPResponse") -> None:
    if 200 <= response.status < 300:
        return
    try:
        message = str(json.loads(response.data).get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    raise ApiError(response.status, response.reason or "", message)


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Split a byte stream into lines; an incomplete last line is dropped."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())


def _socket_options() -> list[tuple[int, int, int]]:
    keep_alive = [(getattr(socket, name), value) for name, value in _KEEP_ALIVE.items() if hasattr(socket, name)]
    return [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *((socket.IPPROTO_TCP, option, value) for option, value in keep_alive),
    ]
