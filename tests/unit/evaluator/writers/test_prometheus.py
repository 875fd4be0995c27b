"""The Prometheus metrics, read from their registry."""

from dataclasses import replace

from prometheus_client import CollectorRegistry

from sidecar_evaluator.results.ledger import Counts, Results, Rules, settle
from sidecar_evaluator.writers.interface import Phase, Report
from sidecar_evaluator.writers.prometheus import PrometheusWriter
from unit.evaluator.support.fakes import FakeClock, evaluated, report


class Metrics:
    """A Prometheus writer and a reader of its registry."""

    def __init__(self) -> None:
        self.registry, self.clock = CollectorRegistry(), FakeClock()
        self.writer = PrometheusWriter(self.registry, self.clock, "1.2.3")

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"sidecareval_{name}", labels)


def test_prometheus_shows_scores_step_and_times() -> None:
    metrics = Metrics()
    latest = report()
    metrics.writer.write(Report(latest.outcome, replace(latest.results, best=latest.outcome, backlog=2)))
    labels = {"metric": "accuracy", "dataset": "default"}
    assert metrics.value("score", **labels) == 0.5
    assert metrics.value("best_score", **labels) == 0.5
    assert metrics.value("checkpoint_step") == 700
    assert metrics.value("checkpoint_timestamp_seconds") == 5.0
    assert metrics.value("last_evaluation_timestamp_seconds") == 12.0
    assert metrics.value("backlog_checkpoints") == 2
    assert metrics.value("evaluation_duration_seconds_sum") == 2.0
    assert metrics.value("build_info", version="1.2.3") == 1


def test_prometheus_counts_what_the_ledger_counts_also_after_a_restart() -> None:
    metrics = Metrics()
    metrics.writer.resume(replace(report().results, counts=Counts(evaluated=5, skipped=1)))
    metrics.writer.write(Report(None, replace(report().results, counts=Counts(evaluated=6, skipped=1, failed=2))))
    values = {kind: metrics.value("checkpoints_total", outcome=kind) for kind in Counts().__dict__}
    assert values == {"evaluated": 6, "skipped": 1, "failed": 2, "gone": 0}
    assert metrics.value("checkpoint_step") == 700


def test_prometheus_keeps_the_newest_score_when_an_older_checkpoint_comes_late() -> None:
    metrics, results = Metrics(), Results()
    for number, accuracy in ((5, 0.9), (4, 0.1)):
        outcome = evaluated(f"ckpt-{number}", number=number, accuracy=accuracy, step=number)
        results = settle(results, outcome, Rules())
        metrics.writer.write(Report(outcome, results))
    assert metrics.value("score", metric="accuracy", dataset="default") == 0.9
    assert metrics.value("checkpoint_step") == 5


def test_prometheus_shows_no_score_of_what_training_has_gone_back_behind() -> None:
    metrics, shown = Metrics(), {"metric": "accuracy", "dataset": "default"}
    metrics.writer.resume(replace(report().results, best=report().outcome))
    assert metrics.value("score", **shown) == metrics.value("best_score", **shown) == 0.5
    metrics.writer.resume(replace(report().results, latest=None, best=None))
    assert metrics.value("score", **shown) is metrics.value("best_score", **shown) is None


def test_prometheus_counts_the_time_of_each_phase_also_of_the_running_one() -> None:
    metrics = Metrics()
    for phase, seconds in ((Phase.WAITING, 3.0), (Phase.EVALUATING, 2.0), (Phase.WAITING, 4.0)):
        metrics.clock.now += 0.0
        metrics.writer.enter(phase)
        metrics.clock.now += seconds
    assert metrics.value("phase_seconds_total", phase="waiting") == 7.0
    metrics.clock.now += 100.0
    assert metrics.value("phase_seconds_total", phase="waiting") == 107.0
    assert metrics.value("phase_seconds_total", phase="evaluating") == 2.0


def test_prometheus_counts_examples_while_an_evaluation_runs() -> None:
    metrics = Metrics()
    assert metrics.value("examples_total") == 0
    scored = iter((100, 300))
    metrics.writer.follow_examples(lambda: next(scored))
    assert metrics.value("examples_total") == 100
    assert metrics.value("examples_total") == 300


def test_there_is_nothing_to_flush() -> None:
    writer = Metrics().writer
    assert writer.flush(0)
    writer.close()
