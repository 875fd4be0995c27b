import math

import pytest
from prometheus_client import CollectorRegistry

from sidecar_operator.cache import Cache
from sidecar_operator.metrics import ReconcileMetrics, ResourceCollector
from unit.operator.support.samples import RESULTS, evaluation, finished

NAMED = {"namespace": "team", "name": "mnist"}
STATUS = {"conditions": finished(), "training": {"state": "Succeeded"}, "results": RESULTS}


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def registry(cache: Cache) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(ResourceCollector(cache))
    return registry


@pytest.mark.parametrize(
    ("family", "labels", "value"),
    [
        ("info", {"training_kind": "", "suspended": "false"}, 1),
        ("condition", {"type": "Ready", "status": "True", "reason": "Completed"}, 1),
        ("training_state", {"state": "Succeeded"}, 1),
        ("score", {"metric": "accuracy", "dataset": "val"}, 0.93),
        ("best_score", {"metric": "accuracy", "dataset": "val"}, 0.94),
        ("checkpoint_step", {}, 700),
        ("last_evaluation_timestamp_seconds", {}, 1767322800.5),
        ("backlog_checkpoints", {}, 2),
        ("checkpoints", {"outcome": "evaluated"}, 7),
    ],
)
def test_what_is_exported_of_a_resource(
    cache: Cache, registry: CollectorRegistry, family: str, labels: dict[str, str], value: float
) -> None:
    cache.evaluations.put(evaluation(status=STATUS))
    assert registry.get_sample_value(f"sidecareval_resource_{family}", NAMED | labels) == value


def test_a_score_that_is_not_a_number_is_exported_as_nan(cache: Cache, registry: CollectorRegistry) -> None:
    cache.evaluations.put(evaluation(status=STATUS))
    labels = NAMED | {"metric": "loss", "dataset": "val"}
    assert math.isnan(registry.get_sample_value("sidecareval_resource_score", labels) or 0)


def test_the_series_go_with_the_resource(cache: Cache, registry: CollectorRegistry) -> None:
    resource = evaluation(status=STATUS)
    cache.evaluations.put(resource)
    cache.evaluations.remove(resource)
    assert [sample for family in registry.collect() for sample in family.samples] == []


def test_a_resource_without_status_breaks_nothing(cache: Cache, registry: CollectorRegistry) -> None:
    cache.evaluations.put(evaluation())
    assert [sample.name for family in registry.collect() for sample in family.samples] == ["sidecareval_resource_info"]


def test_passes_are_counted() -> None:
    registry = CollectorRegistry()
    metrics = ReconcileMetrics(registry, lambda: 3)
    metrics.passed(0.1)
    metrics.failed(0.1)
    values = {
        name: registry.get_sample_value(f"sidecareval_operator_{name}")
        for name in ("reconcile_total", "reconcile_errors_total", "reconcile_duration_seconds_count", "queue_depth")
    }
    assert list(values.values()) == [2, 1, 2, 3]


def test_a_time_that_cannot_be_read_hides_no_other_sample(cache: Cache, registry: CollectorRegistry) -> None:
    latest = {"evaluatedAt": "2024-01-01T00:00:00+99:99", "step": 7}
    cache.evaluations.put(evaluation(status={"results": {"latest": latest}}))
    assert registry.get_sample_value("sidecareval_resource_last_evaluation_timestamp_seconds", NAMED) is None
    assert registry.get_sample_value("sidecareval_resource_checkpoint_step", NAMED) == 7
