"""Each sink by itself, and that one sink's trouble is nobody else's."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sidecar_evaluator.results.ledger import Counts, Results, Rules, settle
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason, Score
from sidecar_evaluator.results.serialization import render
from sidecar_evaluator.writers.async_writer import AsyncWriter
from sidecar_evaluator.writers.interface import Phase, Report, Writer
from sidecar_evaluator.writers.log import LogWriter
from sidecar_evaluator.writers.multi import MultiWriter
from sidecar_evaluator.writers.prometheus import PrometheusWriter
from sidecar_evaluator.writers.status import StatusWriter
from support.waiting import DEADLINE, until
from unit.evaluator.support.fakes import FakeClock, FakeWriter, evaluated


def report(outcome: Outcome | None = None) -> Report:
    outcome = outcome or evaluated("ckpt-7", number=7, step=700, accuracy=0.5, modified_at=5.0)
    return Report(outcome, settle(Results(), outcome, Rules()))


@pytest.mark.parametrize(
    ("scores", "line"),
    [
        (
            (Score("loss", 0.25), Score("accuracy", 0.5)),
            "End of evaluation. Metrics: loss=0.25 accuracy=0.5",
        ),
        (
            (Score("loss", 0.25, "val"), Score("loss", 1.0, "test")),
            "End of evaluation. Metrics: val/loss=0.25 test/loss=1.0",
        ),
    ],
)
def test_the_log_line(scores: tuple[Score, ...], line: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        outcome = replace(evaluated("a", step=9), scores=scores)
        LogWriter().write(Report(outcome, Results(best=outcome)))
        LogWriter().write(Report(None, Results()))
    assert caplog.messages == [line, "Checkpoint a at step 9 took 2.00 s, the best so far."]


def test_a_failure_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    failed = Outcome("a", OutcomeKind.FAILED, None, 1, 2, reason=Reason.UNREADABLE, message="It is damaged.")
    LogWriter().write(report(failed))
    LogWriter().write(report(replace(failed, kind=OutcomeKind.GONE, reason=None, message="It was deleted.")))
    assert caplog.messages == ["Checkpoint a failed (Unreadable): It is damaged.", "Checkpoint a gone: It was deleted."]


def test_a_failing_writer_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    good = FakeWriter()
    writer = MultiWriter([FakeWriter(error=OSError("no space left")), good])
    writer.write(report())
    assert len(good.reports) == 1
    assert "A writer failed; the others go on." in caplog.messages


def test_a_hanging_writer_in_the_background_delays_no_other() -> None:
    gate, good = threading.Event(), FakeWriter()
    slow = FakeWriter(gate=gate)
    background = AsyncWriter(slow)
    writer = MultiWriter([background, good])
    for _ in range(3):
        writer.write(report())
    assert (len(slow.reports), len(good.reports)) == (0, 3)
    assert not writer.flush(0.01)
    gate.set()
    assert writer.flush(DEADLINE)
    writer.close()
    assert len(slow.reports) == 3
    until(lambda: slow.closed)


def test_a_background_writer_that_failed_says_so() -> None:
    background = AsyncWriter(FakeWriter(error=ValueError("a defect")))
    background.write(report())
    assert not background.flush(DEADLINE)
    background.close()


def test_a_background_writer_tries_again_what_the_system_refuses() -> None:
    refused = FakeWriter(error=OSError("no space left"))
    background = AsyncWriter(refused, first_pause=0.01)
    for _ in range(2):
        background.write(report())
    assert not background.flush(0.05)
    refused.error = None
    assert background.flush(DEADLINE)
    background.close()
    assert len(refused.reports) == 2


def test_a_background_writer_that_is_refused_for_ever_can_be_closed() -> None:
    refused = FakeWriter(error=OSError("no space left"))
    background = AsyncWriter(refused, first_pause=60.0)
    background.write(report())
    background.close()
    assert not background.flush(DEADLINE)
    until(lambda: refused.closed)


class FakeServer:
    """Accepts results, refuses as often as asked, or hangs."""

    def __init__(self, refusals: int = 0, gate: threading.Event | None = None) -> None:
        self.refusals, self.gate = refusals, gate
        self.entered = threading.Event()
        self.applied: list[dict[str, Any]] = []

    def apply(self, results: dict[str, Any]) -> None:
        self.entered.set()
        if self.gate:
            self.gate.wait()
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("connection refused")
        self.applied.append(results)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_one_evaluation_is_one_write() -> None:
    server = FakeServer()
    writer = StatusWriter(server.apply, render)
    sent = report()
    writer.write(sent)
    assert writer.flush(DEADLINE)
    writer.close()
    assert server.applied == [render(sent.results)]


def test_a_refused_write_is_tried_again_until_it_is_accepted() -> None:
    server = FakeServer(refusals=4)
    writer = StatusWriter(server.apply, render, first_pause=0.001)
    writer.write(report())
    assert writer.flush(DEADLINE)
    writer.close()
    assert len(server.applied) == 1


def test_flush_does_not_sit_out_a_long_pause(gate: threading.Event) -> None:
    server = FakeServer(refusals=1, gate=gate)
    writer = StatusWriter(server.apply, render, first_pause=3600.0)
    writer.write(report())
    assert server.entered.wait(DEADLINE)
    gate.set()
    assert writer.flush(DEADLINE)
    writer.close()


def test_reports_that_wait_become_one_write(gate: threading.Event) -> None:
    server = FakeServer(gate=gate)
    writer = StatusWriter(server.apply, render)
    results = Results()
    for number in range(50):
        outcome = evaluated(f"ckpt-{number}", number=number)
        results = settle(results, outcome, Rules())
        writer.write(Report(outcome, results))
        assert server.entered.wait(DEADLINE)
    gate.set()
    assert writer.flush(DEADLINE)
    writer.close()
    assert len(server.applied) == 2
    assert server.applied[-1]["counts"]["evaluated"] == 50


def test_flush_gives_up_in_time_when_the_server_is_away() -> None:
    writer = StatusWriter(FakeServer(refusals=10**6).apply, render, first_pause=0.001)
    writer.write(report())
    assert not writer.flush(0.05)
    writer.close()


def test_flush_gives_up_in_time_when_the_server_hangs(gate: threading.Event) -> None:
    writer = StatusWriter(FakeServer(gate=gate).apply, render)
    writer.write(report())
    assert not writer.flush(0.05)


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


@pytest.mark.parametrize("writer", [LogWriter(), Metrics().writer])
def test_writers_without_a_buffer_have_nothing_to_flush(writer: Writer) -> None:
    assert writer.flush(0)
    writer.close()
