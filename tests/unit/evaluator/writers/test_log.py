"""The lines of the log: scores, failures with their reasons."""

import logging
from dataclasses import replace

import pytest

from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason, Score
from sidecar_evaluator.writers.interface import Report
from sidecar_evaluator.writers.log import LogWriter
from unit.evaluator.support.fakes import evaluated, report


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


def test_there_is_nothing_to_flush() -> None:
    writer = LogWriter()
    assert writer.flush(0)
    writer.close()
