"""Prometheus metrics of the operator: its own work, and the scores and states of all resources.

`__main__` serves them on a port of their own. The scores come from `status`, so they outlive the evaluator's pod; the
series of a resource end when it is deleted. Steps and times are values, never labels.
"""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sidecar_operator.cache import Cache
from sidecar_operator.resource_view import Results, SidecarEvaluation

LABELS = ("namespace", "name")


class ReconcileMetrics:
    """Counts, durations and failures of passes, and the depth of the work queue."""

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
        """Count a pass that succeeded."""
        self._passes.inc()
        self._duration.observe(seconds)

    def failed(self, seconds: float) -> None:
        """Count a pass that failed."""
        self._errors.inc()
        self.passed(seconds)


class ResourceCollector(Collector):
    """Scores and states of all resources, read from the cache at each scrape."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def describe(self) -> list[GaugeMetricFamily]:
        """Return the families without samples, so that registration reads nothing."""
        return list(_families().values())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the state of every resource."""
        families = _families()
        for evaluation in self._cache.evaluations:
            key = evaluation.key
            for name, labels, value in samples(evaluation):
                families[name].add_metric([*key, *labels], value)
        yield from families.values()


Sample = tuple[str, tuple[str, ...], float]
"""Name of the family, labels after namespace and name, value."""


def samples(evaluation: SidecarEvaluation) -> Iterator[Sample]:
    """Yield what is exported of one resource."""
    ref = evaluation.training_ref
    yield "info", (ref.kind if ref else "", str(evaluation.is_suspended).lower()), 1
    for condition in evaluation.conditions:
        yield "condition", (condition.type, condition.status, condition.reason), 1
    if state := evaluation.training.state:
        yield "training_state", (state,), 1
    yield from _results(evaluation.results)


def _results(results: Results) -> Iterator[Sample]:
    latest = results.latest
    for family, result in (("score", latest), ("best_score", results.best)):
        for metric in result.metrics:
            if (number := metric.number) is not None:
                yield family, (metric.name, metric.dataset), number
    if (step := latest.step) is not None:
        yield "checkpoint_step", (), step
    if evaluated_at := latest.evaluated_at:
        yield "last_evaluation_timestamp_seconds", (), evaluated_at.timestamp()
    if (backlog := results.backlog) is not None:
        yield "backlog_checkpoints", (), backlog
    for outcome, count in results.counts.items():
        yield "checkpoints", (outcome,), count


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
