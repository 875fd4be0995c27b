"""Results as writes to an API server that accepts them, refuses them or hangs."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar_evaluator.results.evaluator_report import EvaluatorReport, Problem, ProblemReason
from sidecar_evaluator.results.ledger import Results, Rules, settle
from sidecar_evaluator.results.serialization import render
from sidecar_evaluator.writers.interface import Report
from sidecar_evaluator.writers.status import StatusWriter
from support.waiting import DEADLINE
from unit.evaluator.support.fakes import evaluated, report


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


def test_what_the_evaluator_says_about_itself_stands_beside_the_results() -> None:
    server = FakeServer()
    writer = StatusWriter(server.apply, render)
    earlier = report().results
    writer.introduce(EvaluatorReport("pod-1", 5.0), earlier)
    assert writer.flush(DEADLINE)
    writer.say(Problem(ProblemReason.NO_CHECKPOINTS, "it is empty", 6.0))
    assert writer.flush(DEADLINE)
    writer.write(Report(None, Results()))
    assert writer.flush(DEADLINE)
    writer.say(None)
    assert writer.flush(DEADLINE)
    writer.close()
    introduced = {"evaluator": {"pod": "pod-1", "startedAt": "1970-01-01T00:00:05.000000Z"}}
    problem = {"reason": "NoCheckpoints", "message": "it is empty", "at": "1970-01-01T00:00:06.000000Z"}
    assert server.applied == [
        render(earlier) | introduced,
        render(earlier) | introduced | {"problem": problem},
        render(Results()) | introduced | {"problem": problem},
        render(Results()) | introduced,
    ]


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
