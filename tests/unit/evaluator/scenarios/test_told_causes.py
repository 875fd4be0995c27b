"""An error of TensorFlow's executor is told by its cause, with the same words in every place."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.commands import check
from sidecar_evaluator.commands.main import main
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ExitCode
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.results.jsonl_records import Entry, render_line
from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.outcome import Reason
from sidecar_evaluator.results.serialization import render
from sidecar_evaluator.writers.interface import Report
from sidecar_evaluator.writers.log import LogWriter
from unit.evaluator.support.models import BATCH, ModelFactory, arrays

CAUSE = "InvalidArgumentError: Received a label value of 12 which is outside the valid range of [0, 2)."


def with_one_label_out_of_range(factory: ModelFactory) -> Evaluation:
    import tensorflow as tf

    x, y = arrays()
    y = np.where(np.arange(len(y)) == 40, 12, y)
    return Evaluation(factory.model(), tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH))


@pytest.fixture
def check_shows(
    factory: ModelFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], list[str]]:
    """Run `check` as in a process of its own; return what it shows on standard error."""

    def evaluator_of(_config: Any, stop: Any) -> ModelEvaluator:
        evaluator = ModelEvaluator(with_one_label_out_of_range(factory), stop)
        evaluator.prepare()
        return evaluator

    def run() -> list[str]:
        monkeypatch.setattr(check, "evaluator_of", evaluator_of)
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
        assert main(["check", f"--checkpoint-dir={tmp_path}", "--entrypoint=evaluate:build"]) == ExitCode.ERROR
        return capsys.readouterr().err.splitlines()

    return run


def test_the_cause_is_in_log_journal_status_and_check_alike(
    factory: ModelFactory,
    tmp_path: Path,
    evaluate_all: Callable[..., Results],
    check_shows: Callable[[], list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    factory.save_by_manager(tmp_path)
    results = evaluate_all(with_one_label_out_of_range(factory))
    (outcome,) = results.history
    assert (outcome.reason, outcome.message) == (Reason.EVALUATION_ERROR, CAUSE)
    assert json.loads(render_line(Entry(outcome), "run"))["message"] == CAUSE
    assert render(results)["history"][0]["message"] == CAUSE
    LogWriter().write(Report(outcome, results))
    assert caplog.messages[-1] == f"Checkpoint ckpt-1 failed (EvaluationError): {CAUSE}"
    shown = check_shows()
    assert any(line.endswith(f" WARNING The evaluation failed: {CAUSE}") for line in shown)
    assert shown[-1] == f"sidecar-evaluator: The evaluation failed: {CAUSE}"
