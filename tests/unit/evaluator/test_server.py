"""The HTTP side over a real socket."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge

from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.server import Application, serve


class Service:
    """A server on a free port whose checks the test sets."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.alive = self.ready = True
        self.server = serve(0, Application(self.registry, lambda: self.alive, lambda: self.ready))

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.server.server_port}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


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


def test_a_taken_port_is_a_configuration_error(service: Service) -> None:
    with pytest.raises(ConfigurationError, match="choose another --port"):
        serve(service.server.server_port, Application(service.registry, bool, bool))
