"""Prometheus metrics of the operator: its own work, and the scores and states of all resources.

`__main__` serves them on a port of their own. The scores come from `status`, so they outlive the evaluator's pod; a
resource that is deleted takes its series along. Steps and times are values, never labels.
"""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sidecar_operator import kube_objects
from sidecar_operator.cache import Store
from sidecar_operator.kube_objects import Object

LABELS = ("namespace", "name")


class ReconcileMetrics:
    """What the operator does."""

    def __init__(self, registry: CollectorRegistry, queue_depth: Callable[[], int]) -> None:
        self._passes = Counter("sidecareval_operator_reconcile", "Passes over a resource.", registry=registry)
        self._errors = Counter(
            "sidecareval_operator_reconcile_errors", "Passes that failed and are tried again.", registry=registry
        )
        self._duration = Histogram(
            "sidecareval_operator_reconcile_duration_seconds", "Duration of a pass.", registry=registry
        )
        depth = Gauge("sidecareval_operator_queue_depth", "Resources that wait for a pass.", registry=registry)
        depth.set_function(queue_depth)

    def passed(self, seconds: float) -> None:
        """Count a pass that went well."""
        self._passes.inc()
        self._duration.observe(seconds)

    def failed(self, seconds: float) -> None:
        """Count a pass that failed."""
        self._errors.inc()
        self.passed(seconds)


class ResourceCollector(Collector):
    """What the resources say, read from the store whenever Prometheus asks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[GaugeMetricFamily]:
        """Return the families without samples, so that registration reads nothing."""
        return list(_families().values())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the state of every resource."""
        families = _families()
        for evaluation in self._store.evaluations:
            for name, labels, value in samples(evaluation):
                families[name].add_metric([*kube_objects.key_of(evaluation), *labels], value)
        yield from families.values()


Sample = tuple[str, tuple[str, ...], float]
"""Name of the family, labels after namespace and name, value."""


def samples(evaluation: Object) -> Iterator[Sample]:
    """Yield what is exported of one resource."""
    status = evaluation.get("status", {})
    yield "info", (_training_kind(evaluation), str(evaluation["spec"].get("suspend", False)).lower()), 1
    for condition in status.get("conditions") or []:
        yield "condition", (condition["type"], condition["status"], condition["reason"]), 1
    if "training" in status:
        yield "training_state", (status["training"]["state"],), 1
    yield from _results(status.get("results", {}))


def _results(results: Object) -> Iterator[Sample]:
    latest = results.get("latest", {})
    for family, result in (("score", latest), ("best_score", results.get("best", {}))):
        for metric in result.get("metrics", []):
            yield family, (metric["name"], metric.get("dataset", "default")), float(metric["value"])
    if "step" in latest:
        yield "checkpoint_step", (), latest["step"]
    if moment := kube_objects.time_of(latest.get("evaluatedAt")):
        yield "last_evaluation_timestamp_seconds", (), moment.timestamp()
    if "backlog" in results:
        yield "backlog_checkpoints", (), results["backlog"]
    for outcome, count in results.get("counts", {}).items():
        yield "checkpoints", (outcome,), count


def _training_kind(evaluation: Object) -> str:
    ref = kube_objects.training_ref_of(evaluation)
    return ref.kind if ref else ""


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        name: GaugeMetricFamily(f"sidecareval_resource_{name}", text, labels=[*LABELS, *labels])
        for name, text, labels in FAMILIES
    }


FAMILIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("info", "Always 1, one for each resource.", ("training_kind", "suspended")),
    ("condition", "Always 1, one for each condition.", ("type", "status", "reason")),
    ("training_state", "Always 1, with the state of the training.", ("state",)),
    ("score", "Score of the latest evaluated checkpoint.", ("metric", "dataset")),
    ("best_score", "Score of the best checkpoint.", ("metric", "dataset")),
    ("checkpoint_step", "Training step of the latest evaluated checkpoint.", ()),
    ("last_evaluation_timestamp_seconds", "When the latest evaluation ended.", ()),
    ("backlog_checkpoints", "Finished checkpoints that wait for evaluation.", ()),
    ("checkpoints", "Checkpoints by outcome.", ("outcome",)),
)
"""Families of metrics after the prefix `sidecareval_resource_`: name, help, labels after namespace and name."""
