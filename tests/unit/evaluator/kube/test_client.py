"""Requests and watches against a real HTTP server, with tokens, certificates and kubeconfigs as in a cluster."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.config
import pytest
import urllib3

from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.kube.client import (
    ApiClient,
    ApiError,
    ClientConfig,
    load_config,
    load_incluster_config,
    load_kubeconfig,
)
from unit.evaluator.support.recorder import Recorder


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def client(recorder: Recorder) -> ApiClient:
    return ApiClient(ClientConfig(recorder.url))


def test_requests_share_one_connection(recorder: Recorder, client: ApiClient) -> None:
    recorder.answers = [(200, '{"a": 1}'), (404, '{"message": "no such thing"}')]
    assert client.request("GET", "/x") == {"a": 1}
    with pytest.raises(ApiError, match="404 Not Found: no such thing") as raised:
        client.request("GET", "/x")
    assert (raised.value.status, raised.value.reason) == (404, "Not Found")
    client.request("PATCH", "/y", query={"force": "true"}, body={"b": 2}, content_type="application/apply-patch+yaml")
    assert recorder.connections == 1
    last = recorder.requests[-1]
    assert (last["path"], json.loads(last["body"])) == ("/y?force=true", {"b": 2})
    assert last["headers"]["Content-Type"] == "application/apply-patch+yaml"


@pytest.mark.parametrize("answer", [(500, "no JSON"), (403, "[]"), (302, ""), (429, '{"message": null}')])
def test_whatever_is_no_success_is_an_error(recorder: Recorder, client: ApiClient, answer: tuple[int, str]) -> None:
    recorder.answers = [answer]
    with pytest.raises(ApiError) as raised:
        client.request("GET", "/x")
    assert raised.value.status == answer[0]
    assert len(recorder.requests) == 1


def test_a_connection_that_the_server_closed_is_made_again(recorder: Recorder, client: ApiClient) -> None:
    recorder.answers = [(200, "{}"), (200, None), (200, '{"a": 1}')]
    client.request("GET", "/x")
    assert client.request("PATCH", "/x", body={}) == {"a": 1}
    assert recorder.connections == 2


def test_a_server_that_is_away_is_an_error(recorder: Recorder) -> None:
    recorder.answers = [(200, None)] * 9
    with pytest.raises(urllib3.exceptions.HTTPError):
        ApiClient(ClientConfig(recorder.url)).request("GET", "/x")


def event(kind: str, **content: Any) -> str:
    return json.dumps({"type": kind, "object": content}) + "\n"


def test_a_watch_yields_objects_however_they_are_cut_and_drops_bookmarks(recorder: Recorder, client: ApiClient) -> None:
    text = event("ADDED", n=1) + event("BOOKMARK", n=2) + "\n" + event("MODIFIED", n=3) + event("DELETED", n=4)
    recorder.answers = [(200, [text[:10], text[10:70], text[70:], '{"type": "MODI'])]
    assert [resource["n"] for resource in client.watch("/x", {"fieldSelector": "metadata.name=a"}, 30)] == [1, 3, 4]
    assert recorder.requests[0]["path"] == (
        "/x?fieldSelector=metadata.name%3Da&watch=true&timeoutSeconds=30&allowWatchBookmarks=true"
    )


def test_an_object_arrives_while_the_watch_goes_on(recorder: Recorder, client: ApiClient) -> None:
    recorder.answers = [(200, [event("ADDED", n=1), event("MODIFIED", n=2)]), (200, '{"a": 1}')]
    watched = client.watch("/x", {}, 30)
    assert next(watched) == {"n": 1}
    assert client.request("GET", "/y") == {"a": 1}
    assert [resource["n"] for resource in watched] == [2]


@pytest.mark.parametrize(
    "answer",
    [
        (410, '{"message": "too old"}'),
        (200, [event("ADDED", n=1), event("ERROR", code=410, reason="Expired", message="too old")]),
    ],
)
def test_a_watch_that_is_refused_or_expires_is_an_error(
    recorder: Recorder, client: ApiClient, answer: tuple[int, str]
) -> None:
    recorder.answers = [answer]
    with pytest.raises(ApiError, match="too old") as raised:
        list(client.watch("/x", {}, 30))
    assert raised.value.status == 410


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text("")
    return tmp_path


@pytest.mark.parametrize(("host", "url"), [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")])
def test_a_pod_speaks_as_its_service_account_with_the_newest_token(account: Path, host: str, url: str) -> None:
    config = load_incluster_config({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}, account)
    assert config
    assert (config.url, config.tls, config.proxy) == (url, {"ca_certs": str(account / "ca.crt")}, None)
    assert config.headers() == {"Authorization": "Bearer first"}
    (account / "token").write_text("second")
    assert config.headers() == {"Authorization": "Bearer second"}


@pytest.mark.parametrize("lacking", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "token", "ca.crt"])
def test_what_lacks_a_part_is_no_pod(account: Path, lacking: str) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    environment.pop(lacking, None)
    (account / lacking).unlink(missing_ok=True)
    assert load_incluster_config(environment, account) is None


def test_each_request_carries_the_headers_of_its_moment(recorder: Recorder) -> None:
    tokens = iter("abc")
    client = ApiClient(ClientConfig(recorder.url, lambda: {"Authorization": next(tokens)}))
    recorder.answers = [(200, "{}"), (200, event("ADDED")), (200, "{}")]
    client.request("GET", "/x")
    list(client.watch("/x", {}, 1))
    client.request("PATCH", "/x", body={})
    assert [request["headers"]["Authorization"] for request in recorder.requests] == ["a", "b", "c"]


def test_proxies_of_the_environment_are_not_asked(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ApiClient(ClientConfig(recorder.url)).request("GET", "/x") == {}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key with the certificate that it signed itself, for 127.0.0.1, in one file."""
    openssl = shutil.which("openssl")
    assert openssl, "this test makes a certificate with openssl, which is not installed"
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", *kind, *names, "-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


def test_only_a_server_of_the_given_authority_is_spoken_to(certificate: Path) -> None:
    with Recorder(certificate) as recorder:
        trusted = ApiClient(ClientConfig(recorder.url, tls={"ca_certs": str(certificate)}))
        assert trusted.request("GET", "/x") == {}
        with pytest.raises(urllib3.exceptions.HTTPError, match="CERTIFICATE_VERIFY_FAILED"):
            ApiClient(ClientConfig(recorder.url)).request("GET", "/x")
        elsewhere = ApiClient(
            ClientConfig(recorder.url.replace("127.0.0.1", "localhost"), tls={"ca_certs": str(certificate)})
        )
        with pytest.raises(urllib3.exceptions.HTTPError, match="match"):
            elsewhere.request("GET", "/x")
        assert len(recorder.requests) == 1


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "kubeconfig"
    monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(place))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return place


def write_kubeconfig(place: Path, **cluster: Any) -> None:
    content = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    place.write_text(json.dumps(content))


def test_outside_a_cluster_the_kubeconfig_is_used(kubeconfig: Path, certificate: Path) -> None:
    authority = base64.b64encode(certificate.with_suffix(".crt").read_bytes()).decode()
    with Recorder(certificate) as recorder:
        write_kubeconfig(kubeconfig, server=f"{recorder.url}/prefix/", **{"certificate-authority-data": authority})
        ApiClient(load_config()).request("GET", "/x")
    assert recorder.requests[0]["path"] == "/prefix/x"
    assert recorder.requests[0]["headers"]["Authorization"] == "Bearer secret"


def test_a_kubeconfig_that_trusts_every_server_is_refused(kubeconfig: Path) -> None:
    write_kubeconfig(kubeconfig, server="https://127.0.0.1:1", **{"insecure-skip-tls-verify": True})
    with pytest.raises(ConfigurationError, match="certificate-authority"):
        load_kubeconfig()


def test_a_proxy_of_the_kubeconfig_is_used(kubeconfig: Path, recorder: Recorder) -> None:
    write_kubeconfig(kubeconfig, server="http://cluster.example:80", **{"proxy-url": recorder.url})
    assert ApiClient(load_kubeconfig()).request("GET", "/x") == {}
    assert recorder.requests[0]["path"] == "http://cluster.example:80/x"


def test_without_any_cluster_it_says_so(kubeconfig: Path) -> None:
    with pytest.raises(ConfigurationError, match="--resource needs a cluster, and the kubeconfig cannot be loaded"):
        load_config()


def test_without_the_official_client_it_says_how_to_get_it(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(ConfigurationError, match=r"sidecar-evaluator\[kubeconfig\]"):
        load_config()
