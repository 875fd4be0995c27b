import gzip
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from prometheus_client import CollectorRegistry, Counter

from sidecar_operator.cache import Cache
from sidecar_operator.metrics import ResourceMetrics
from sidecar_operator.metrics_endpoint import MetricsEndpoint
from support.waiting import DEADLINE
from unit.operator.support.samples import evaluation


@pytest.fixture
def url() -> Iterator[str]:
    registry, resources = CollectorRegistry(), ResourceMetrics()
    Counter("passes", "Passes.", registry=registry).inc()
    Cache(resources.update).evaluations.put(evaluation())
    with MetricsEndpoint(0, registry, resources) as endpoint:
        yield f"http://127.0.0.1:{endpoint.port}/metrics"


def test_both_the_operators_own_and_those_of_resources_are_served(url: str) -> None:
    with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
        text = answer.read().decode()
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "passes_total 1.0\n" in text
    assert 'sidecareval_resource_info{namespace="team",name="mnist",training_kind="",suspended="false"} 1\n' in text


def test_the_answer_is_compressed_where_that_is_asked_for(url: str) -> None:
    with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
        plain = answer.read()
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.read()) == plain


def test_only_get_is_answered(url: str) -> None:
    with pytest.raises(HTTPError, match="405"):
        urllib.request.urlopen(url, data=b"x", timeout=DEADLINE)
