"""Scores and the loop's own numbers as Prometheus metrics, in a registry that is given.

Gauges are set before any other sink is tried, so that a scrape right after an evaluation sees it.
Step and time are values, never labels. After a restart the gauges and counters start from the
ledger, so that `/metrics` and the resource's status tell the same.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind
from sidecar_evaluator.runtime.clock import Clock
from sidecar_evaluator.writers.interface import Phase, Report

_PREFIX = "sidecareval_"
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_BY_METRIC = ("metric", "dataset")


class PrometheusWriter:
    """The evaluator's metrics."""

    def __init__(self, registry: CollectorRegistry, clock: Clock, version: str = "") -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(_PREFIX + name, text, labels, registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(_PREFIX + name, text, labels, registry=registry)

        self._clock = clock
        registry.register(_BeforeScrape(self.tick))  # the first to be registered is the first to be asked
        self._score = gauge("score", "Score of the newest evaluated checkpoint.", _BY_METRIC)
        self._best = gauge("best_score", "Scores of the checkpoint that is best by the primary metric.", _BY_METRIC)
        self._step = gauge("checkpoint_step", "Training iterations of the newest evaluated checkpoint.")
        self._written = gauge("checkpoint_timestamp_seconds", "When the newest evaluated checkpoint was written.")
        self._evaluated = gauge("last_evaluation_timestamp_seconds", "When the last evaluation ended.")
        self._backlog = gauge("backlog_checkpoints", "Finished checkpoints that wait for evaluation.")
        self._checkpoints = counter("checkpoints", "Settled checkpoints by what became of them.", ("outcome",))
        self._phases = counter("phase_seconds", "Time spent by what the loop was doing.", ("phase",))
        self._examples = counter("examples", "Examples that were scored, once for each checkpoint.")
        self._duration = Histogram(
            _PREFIX + "evaluation_duration_seconds",
            "From taking up a checkpoint to its scores.",
            buckets=_SECONDS,
            registry=registry,
        )
        Info(_PREFIX + "build", "The evaluator's version.", registry=registry).info({"version": version})
        self._lock = threading.Lock()
        self._phase: Phase | None = None
        self._phase_began = clock.monotonic()
        self._counted: dict[str, int] = {}
        self._scored: Callable[[], int] = lambda: 0
        self._examples_counted = 0
        self._count(Results())

    def resume(self, results: Results) -> None:
        """Show a ledger, such as that of an earlier process."""
        if results.latest:
            self._show(results.latest)
        else:  # none yet, or training has gone back behind it
            self._score.clear()
        self._show_totals(results)

    def write(self, report: Report) -> None:
        """Set gauges and counters."""
        if report.outcome and report.outcome.kind is OutcomeKind.EVALUATED:
            self._duration.observe(report.outcome.duration)
        self.resume(report.results)

    def follow_examples(self, scored: Callable[[], int]) -> None:
        """Ask `scored` for the number of examples scored so far, whenever values are read."""
        self._scored = scored

    def enter(self, phase: Phase) -> None:
        """Begin a phase; count the time since the last call for the phase that was running."""
        with self._lock:
            self._count_phase()
            self._phase = phase

    def tick(self) -> None:
        """Count the running phase's time so far: waiting may last for hours. Every scrape does so."""
        with self._lock:
            self._count_phase()
            scored = self._scored()
            self._examples.inc(scored - self._examples_counted)
            self._examples_counted = scored

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - the interface's signature
        """Return True: a scrape reads the values where they are."""
        return True

    def close(self) -> None:
        """Do nothing; the registry belongs to the caller."""

    def _count_phase(self) -> None:
        now = self._clock.monotonic()
        if self._phase:
            self._phases.labels(self._phase).inc(max(now - self._phase_began, 0.0))
        self._phase_began = now

    def _show(self, outcome: Outcome) -> None:
        for score in outcome.scores:
            self._score.labels(score.name, score.dataset).set(score.value)
        if outcome.step is not None:
            self._step.set(outcome.step)
        self._evaluated.set(outcome.evaluated_at)
        if outcome.modified_at:
            self._written.set(outcome.modified_at)

    def _show_totals(self, results: Results) -> None:
        if results.best is None:
            self._best.clear()
        for score in results.best.scores if results.best else ():
            self._best.labels(score.name, score.dataset).set(score.value)
        self._backlog.set(results.backlog)
        self._count(results)

    def _count(self, results: Results) -> None:
        for outcome, count in asdict(results.counts).items():
            self._checkpoints.labels(outcome).inc(count - self._counted.get(outcome, 0))
            self._counted[outcome] = count


class _BeforeScrape(Collector):
    """Does something before the values of a scrape are read; has none of its own."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def describe(self) -> Iterable[Metric]:
        """Name no metric."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Do it."""
        self._action()
        return ()
