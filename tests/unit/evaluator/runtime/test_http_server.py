"""The HTTP server over a real socket."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge

from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.runtime.http_server import Application, serve
from support.waiting import DEADLINE


class Service:
    """A server on a free port whose probes the test sets."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.alive = self.ready = True
        self.server = serve(0, Application(self.registry, lambda: self.alive, lambda: self.ready))

    def get(self, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
        try:
            url = f"http://{host}:{self.server.server_port}{path}"
            with urllib.request.urlopen(url, timeout=DEADLINE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


def test_metrics(service: Service) -> None:
    Gauge("a_value", "A value.", registry=service.registry).set(3)
    status, text = service.get("/metrics")
    assert status == 200
    assert "a_value 3.0" in text


def test_probes(service: Service) -> None:
    assert (service.get("/healthz")[0], service.get("/readyz")[0]) == (200, 200)
    service.alive = False
    assert (service.get("/healthz")[0], service.get("/readyz")[0]) == (503, 200)
    service.alive, service.ready = True, False
    assert (service.get("/healthz")[0], service.get("/readyz")[0]) == (200, 503)


def test_other_paths_are_not_found(service: Service) -> None:
    assert service.get("/")[0] == 404


def test_both_families_of_addresses_are_answered(service: Service) -> None:
    for address in ("127.0.0.1", *(["[::1]"] if socket.has_dualstack_ipv6() else [])):
        assert service.get("/healthz", address) == (200, "ok\n")


def test_the_name_service_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object) -> str:
        raise AssertionError("this may take seconds")

    for name in ("getfqdn", "gethostbyaddr", "getnameinfo"):
        monkeypatch.setattr(socket, name, slow)
    service = Service()
    assert service.get("/healthz")[0] == 200
    service.server.shutdown()
    service.server.server_close()


def test_a_client_that_hangs_up_or_says_nothing_stops_nobody(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = ("127.0.0.1", service.server.server_port)
    with monkeypatch.context() as patch:
        patch.setattr(service.server.RequestHandlerClass, "timeout", 0.01)
        with socket.create_connection(address, timeout=DEADLINE) as silent:
            assert silent.recv(1) == b""
    with socket.create_connection(address) as gone:
        gone.sendall(b"GET /metrics HT")
    assert service.get("/metrics")[0] == 200
    assert capsys.readouterr() == ("", "")


def test_a_taken_port_is_a_configuration_error(service: Service) -> None:
    with pytest.raises(ConfigurationError, match="choose another --port"):
        serve(service.server.server_port, Application(service.registry, bool, bool))
