"""Prometheus metrics of the operator: its own work, and the scores and states of all resources.

`metrics_endpoint` serves them. The scores come from `status`, so they outlive the evaluator's pod; the series of a
resource end when it is deleted. The cache reports each change of a resource, and only then are its samples made; a
scrape renders those that have changed since the last one. Steps and times are values, never labels.
"""

import gzip
import math
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sidecar_operator.kube_objects import Key
from sidecar_operator.resource_view import Results, SidecarEvaluation

BLOCKS = 64
"""In how many blocks the resources are; a change renders the lines of one block again."""


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


class ResourceMetrics:
    """Scores and states of all resources, in blocks of which a scrape renders those that have changed since the last.

    The blocks are kept as gzip members, which may follow each other in one answer.
    """

    def __init__(self) -> None:
        self._blocks = [_Block() for _ in range(BLOCKS)]

    def update(self, key: Key, evaluation: SidecarEvaluation | None) -> None:
        """Take over a resource that has changed, or None for one that is gone."""
        self._blocks[hash(key) % BLOCKS].update(key, tuple(_flattened(evaluation)) if evaluation else None)

    def compressed(self) -> Iterator[bytes]:
        """Yield all samples, family by family, as gzip members; may run in another thread than `update`."""
        rendered = [block.rendered() for block in self._blocks]
        for number, family in enumerate(FAMILIES):
            name = PREFIX + family.name
            yield gzip.compress(f"# HELP {name} {family.text}\n# TYPE {name} gauge\n".encode())
            yield from (members[number] for members in rendered if members[number])

    def text(self) -> Iterator[bytes]:
        """Yield the same, not compressed."""
        return map(gzip.decompress, self.compressed())


class _Block:
    """Samples of some resources, and their lines as they were rendered last."""

    def __init__(self) -> None:
        self._samples: dict[Key, Samples] = {}
        self._version = 0
        self._rendered: tuple[int, list[bytes]] = (0, [b""] * len(FAMILIES))

    def update(self, key: Key, samples: "Samples | None") -> None:
        """Replace the samples of a resource; None for one that is gone."""
        if samples is None:
            self._samples.pop(key, None)
        else:
            self._samples[key] = samples
        self._version += 1

    def rendered(self) -> list[bytes]:
        """Return a gzip member for each family, empty where no resource has samples of it."""
        version, members = self._rendered
        if version != self._version:
            version, samples = self._version, list(self._samples.items())  # what changes after this is rendered next
            members = [_member(family.name, samples) for family in FAMILIES]
            self._rendered = version, members
        return members


Samples = tuple[str | float, ...]
"""Family, labels and value of each sample in turn: one tuple of these is small, and most texts are shared."""


def _member(family: str, resources: list[tuple[Key, Samples]]) -> bytes:
    lines = "".join(
        f'{PREFIX}{family}{{namespace="{namespace}",name="{name}"{samples[at + 1]}}} {samples[at + 2]}\n'
        for (namespace, name), samples in resources
        for at in range(0, len(samples), 3)
        if samples[at] is family
    )
    return gzip.compress(lines.encode(errors="replace"), compresslevel=1) if lines else b""


def _flattened(evaluation: SidecarEvaluation) -> Iterator[str | float]:
    """Yield family, labels and value of each sample in turn."""
    for name, labels, value in samples(evaluation):
        family = _FAMILIES_BY_NAME[name]
        yield family.name
        yield sys.intern(
            "".join(f',{label}="{_escaped(text)}"' for label, text in zip(family.labels, labels, strict=True))
        )
        yield value if math.isfinite(value) else _WORDS[str(value)]


_WORDS = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
"""What the text format calls values that are no finite number."""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


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


class Family(NamedTuple):
    """A family of metrics: name after the prefix, help, and labels after namespace and name."""

    name: str
    text: str
    labels: tuple[str, ...]


PREFIX = "sidecareval_resource_"
FAMILIES = (
    Family("info", "Always 1, one for each resource.", ("training_kind", "suspended")),
    Family("condition", "Always 1, one for each condition.", ("type", "status", "reason")),
    Family("training_state", "Always 1, with the state of the training.", ("state",)),
    Family("score", "Score of the latest evaluated checkpoint.", ("metric", "dataset")),
    Family("best_score", "Score of the best checkpoint.", ("metric", "dataset")),
    Family("checkpoint_step", "Training step of the latest evaluated checkpoint.", ()),
    Family("last_evaluation_timestamp_seconds", "When the latest evaluation ended.", ()),
    Family("backlog_checkpoints", "Finished checkpoints that wait for evaluation.", ()),
    Family("checkpoints", "Checkpoints by outcome.", ("outcome",)),
)
"""Families of metrics after the prefix."""
_FAMILIES_BY_NAME = {family.name: family for family in FAMILIES}
