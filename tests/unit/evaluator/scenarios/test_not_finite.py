"""NaN and infinities from a model's metrics to every sink, and back after a restart: values, never the best."""

import json
import logging
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sidecar_evaluator.best_checkpoints.store import MANIFEST, BestCheckpointStore
from sidecar_evaluator.checkpoints.interface import Checkpoint, state_of
from sidecar_evaluator.results.jsonl_records import NAME
from sidecar_evaluator.results.ledger import Results, Rules, settle
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Score
from sidecar_evaluator.results.ranking import Goal, Primary, better
from sidecar_evaluator.results.resume import resume_from
from sidecar_evaluator.results.serialization import parse, render
from sidecar_evaluator.storage.append_log import AppendLog
from sidecar_evaluator.writers.interface import Report
from sidecar_evaluator.writers.jsonl import JsonLinesWriter
from sidecar_evaluator.writers.log import LogWriter
from sidecar_evaluator.writers.multi import MultiWriter
from sidecar_evaluator.writers.prometheus import PrometheusWriter
from sidecar_evaluator.writers.status import StatusWriter
from support.waiting import DEADLINE
from unit.evaluator.support.fakes import FORMAT, FakeClock

NAN, INFINITY, LARGEST = float("nan"), float("inf"), sys.float_info.max


class Shown(NamedTuple):
    """A value, and how the sinks write it."""

    value: float
    text: str  # in status and JSON lines
    readable: str  # in the score of both
    exposed: str  # in Prometheus
    logged: str


VALUES = [
    Shown(NAN, "NaN", "NaN", "NaN", "nan"),
    Shown(INFINITY, "Infinity", "Infinity", "+Inf", "inf"),
    Shown(-INFINITY, "-Infinity", "-Infinity", "-Inf", "-inf"),
    Shown(-0.0, "-0.0", "-0.0000", "-0.0", "-0.0"),
    Shown(5e-324, "5e-324", "4.941e-324", "5e-324", "5e-324"),
    Shown(LARGEST, repr(LARGEST), "1.798e+308", repr(LARGEST), repr(LARGEST)),
]


def outcome(number: int, value: float) -> Outcome:
    scores = (Score("accuracy", value), Score("loss", value, "val"))
    return Outcome(f"ckpt-{number}", OutcomeKind.EVALUATED, number, 10.0, 12.0, 2.0, number, scores, modified_at=9.0)


@dataclass
class Sinks:
    """Every sink that needs no TensorFlow, and a ledger that feeds them."""

    root: Path
    rules: Rules
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    results: Results = field(default_factory=Results)

    def take(self, *outcomes: Outcome) -> None:
        lines = JsonLinesWriter(self.files().append, self.rules.primary)
        lines.resume("run", (), self.results.counts.skipped)
        status = StatusWriter(self.statuses.append, lambda results: render(results, self.rules.primary))
        writer = MultiWriter([PrometheusWriter(self.registry, FakeClock()), LogWriter(), status, lines])
        for outcome in outcomes:
            self.results = settle(self.results, outcome, self.rules)
            writer.write(Report(outcome, self.results))
        assert writer.flush(DEADLINE)
        writer.close()

    def files(self) -> AppendLog:
        return AppendLog(self.root / "output", NAME)

    def metrics(self) -> list[str]:
        return generate_latest(self.registry).decode().splitlines()


@pytest.fixture
def sinks(tmp_path: Path) -> Sinks:
    return Sinks(tmp_path, Rules(Primary("accuracy", Goal.MAXIMIZE)))


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


def is_same(one: float, other: float) -> bool:
    if math.isnan(one):
        return math.isnan(other)
    return one == other and math.copysign(1, one) == math.copysign(1, other)


@pytest.mark.parametrize("shown", VALUES, ids=lambda shown: shown.text)
def test_every_sink_shows_the_value(shown: Shown, sinks: Sinks, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        sinks.take(outcome(1, shown.value))
    latest = json.loads(json.dumps(sinks.statuses[-1], allow_nan=False), parse_constant=refuse)["latest"]
    (line,) = [json.loads(line, parse_constant=refuse) for line in sinks.files().read()]
    for entry in (latest, line):
        assert [metric["value"] for metric in entry["metrics"]] == [shown.text, shown.text]
        assert entry["score"] == f"accuracy={shown.readable}"
    assert f'sidecareval_score{{dataset="val",metric="loss"}} {shown.exposed}' in sinks.metrics()
    scores, rest = caplog.messages
    assert scores == f"End of evaluation. Metrics: accuracy={shown.logged} val/loss={shown.logged}"
    assert ("the best so far" in rest) is math.isfinite(shown.value)


@pytest.mark.parametrize("value", [shown.value for shown in VALUES])
def test_status_and_journal_read_back_the_same_value(value: float, sinks: Sinks) -> None:
    sinks.take(outcome(1, value))
    from_status = parse(sinks.statuses[-1])
    from_journal = resume_from(sinks.files(), "run", Results(), sinks.rules).results
    for results in (from_status, from_journal):
        assert results.latest is not None
        assert all(is_same(score.value, value) for score in results.latest.scores)


@pytest.mark.parametrize("goal", list(Goal))
@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_what_is_not_finite_is_never_best_in_any_sink(value: float, goal: Goal, position: int, tmp_path: Path) -> None:
    finite = [outcome(8, 0.25), outcome(9, 0.5)]
    best = finite[1 if goal is Goal.MAXIMIZE else 0]
    order = [*finite[:position], outcome(1, value), *finite[position:]]
    sinks = Sinks(tmp_path, Rules(Primary("accuracy", goal)))
    sinks.take(*order)
    again = resume_from(sinks.files(), "run", parse(sinks.statuses[-1]), sinks.rules)
    assert sinks.results.best == best
    assert sinks.statuses[-1]["best"]["checkpoint"] == best.checkpoint
    assert again.results.best == best
    assert again.unwritten == ()
    shown = f'sidecareval_best_score{{dataset="default",metric="accuracy"}} {best.scores[0].value}'
    assert shown in sinks.metrics()


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize("goal", list(Goal))
def test_what_is_not_finite_alone_is_no_best(value: float, goal: Goal, tmp_path: Path) -> None:
    sinks = Sinks(tmp_path, Rules(Primary("accuracy", goal)))
    sinks.take(outcome(1, value))
    assert sinks.results.best is None
    assert "best" not in sinks.statuses[-1]
    assert not [line for line in sinks.metrics() if line.startswith("sidecareval_best_score{")]
    assert not better(outcome(1, value), None, sinks.rules.primary)
    assert better(outcome(2, 0.5), outcome(1, value), sinks.rules.primary)


@pytest.mark.parametrize(("value", "text"), [shown[:2] for shown in VALUES])
def test_a_best_with_such_a_value_in_another_metric_is_copied_with_it(value: float, text: str, tmp_path: Path) -> None:
    (tmp_path / "ckpt-1").write_bytes(b"weights")
    checkpoint = Checkpoint("ckpt-1", tmp_path / "ckpt-1", FORMAT, (state_of(tmp_path, "ckpt-1"),))
    best = Outcome("ckpt-1", OutcomeKind.EVALUATED, 1, 1.0, 2.0, scores=(Score("accuracy", 0.5), Score("loss", value)))
    copies = BestCheckpointStore(tmp_path / "best", 1, Primary("accuracy", Goal.MAXIMIZE))
    assert copies.keep(checkpoint, best) == ""
    manifest = json.loads((tmp_path / "best" / "ckpt-1" / MANIFEST).read_text(), parse_constant=refuse)
    assert manifest["metrics"][1]["value"] == text
