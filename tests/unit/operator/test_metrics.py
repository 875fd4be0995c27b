import gzip
import math

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from sidecar_operator import metrics
from sidecar_operator.cache import Cache, KindCache
from sidecar_operator.kube_objects import Key
from sidecar_operator.metrics import ReconcileMetrics, ResourceMetrics
from unit.operator.support.samples import RESULTS, evaluation, finished

NAMED = {"namespace": "team", "name": "mnist"}
STATUS = {"conditions": finished(), "training": {"state": "Succeeded"}, "results": RESULTS}


class Exported:
    """Resources in a cache, and what is exported of them."""

    def __init__(self) -> None:
        self.metrics = ResourceMetrics()
        self.evaluations = Cache(self.metrics.update).evaluations

    def samples(self) -> list[Sample]:
        text = b"".join(self.metrics.text()).decode()
        return [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the only sample with these labels, None where there is none."""
        wanted = (f"sidecareval_resource_{name}", NAMED | labels)
        values = [sample.value for sample in self.samples() if (sample.name, sample.labels) == wanted]
        assert len(values) < 2
        return values[0] if values else None


@pytest.fixture
def exported() -> Exported:
    return Exported()


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
def test_what_is_exported_of_a_resource(exported: Exported, family: str, labels: dict[str, str], value: float) -> None:
    exported.evaluations.put(evaluation(status=STATUS))
    assert exported.value(family, **labels) == value


@pytest.mark.parametrize(("value", "number"), [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)])
def test_a_score_that_is_no_finite_number_is_exported_as_it_is(exported: Exported, value: str, number: float) -> None:
    latest = {"metrics": [{"name": "loss", "value": value}]}
    exported.evaluations.put(evaluation(status={"results": {"latest": latest}}))
    shown = exported.value("score", metric="loss", dataset="default")
    assert shown == number or (shown is not None and math.isnan(shown) and math.isnan(number))


def test_the_series_follow_the_resource_and_go_with_it(exported: Exported) -> None:
    resource = evaluation(status=STATUS)
    exported.evaluations.put(resource)
    newer = {**resource, "metadata": {**resource["metadata"], "resourceVersion": "999999"}, "status": {}}
    exported.evaluations.put(newer)
    assert [sample.name for sample in exported.samples()] == ["sidecareval_resource_info"]
    exported.evaluations.remove(newer)
    assert exported.samples() == []


def test_names_that_would_break_the_format_are_escaped(exported: Exported) -> None:
    name = 'a"b\\c\nd'
    latest = {"metrics": [{"name": name, "value": "1"}]}
    exported.evaluations.put(evaluation(status={"results": {"latest": latest}}))
    assert exported.value("score", metric=name, dataset="default") == 1


def put_many(exported: Exported, count: int) -> None:
    for number in range(count):
        resource = evaluation(status=STATUS)
        resource["metadata"]["name"] = f"e{number}"
        exported.evaluations.put(resource)


def test_many_resources_are_sent_in_parts_and_family_by_family(exported: Exported) -> None:
    put_many(exported, count := 2000)
    parts = list(exported.metrics.text())
    assert max(map(len, parts)) < 0.1 * sum(map(len, parts))
    families = [line.split()[2] for part in parts for line in part.decode().splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) == 9
    assert len([sample for sample in exported.samples() if sample.name == "sidecareval_resource_info"]) == count


def test_what_is_sent_compressed_is_the_same(exported: Exported) -> None:
    put_many(exported, 100)
    assert gzip.decompress(b"".join(exported.metrics.compressed())) == b"".join(exported.metrics.text())


def test_a_scrape_renders_only_what_has_changed(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    put_many(exported, 2000)
    exported.samples()
    rendered: list[int] = []
    render = metrics._member

    def counted(family: str, resources: list[tuple[Key, metrics.Samples]]) -> bytes:
        rendered.append(len(resources))
        return render(family, resources)

    monkeypatch.setattr(metrics, "_member", counted)
    exported.samples()
    assert rendered == []
    exported.evaluations.put(evaluation(status=STATUS))
    assert exported.value("checkpoint_step") == 700
    assert sum(rendered) <= len(metrics.FAMILIES) * 4 * 2000 / metrics.BLOCKS


def test_a_scrape_reads_no_resource(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    exported.evaluations.put(evaluation(status=STATUS))
    monkeypatch.setattr(KindCache, "get", None)
    monkeypatch.setattr("sidecar_operator.metrics.samples", None)
    assert exported.value("checkpoint_step") == 700


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


def test_a_time_that_cannot_be_read_hides_no_other_sample(exported: Exported) -> None:
    latest = {"evaluatedAt": "2024-01-01T00:00:00+99:99", "step": 7}
    exported.evaluations.put(evaluation(status={"results": {"latest": latest}}))
    assert exported.value("last_evaluation_timestamp_seconds") is None
    assert exported.value("checkpoint_step") == 7
