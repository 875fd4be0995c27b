"""`sidecar-evaluator check` on a format and a model of the test's own: the choice and what is printed."""

import json
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.registry import FORMATS
from sidecar_evaluator.commands import main
from sidecar_evaluator.commands.config import ModelConfig
from sidecar_evaluator.errors import CheckpointIncompatible, ExitCode
from sidecar_evaluator.evaluator import Loaded
from sidecar_evaluator.results.outcome import Score
from unit.evaluator.support.fakes import FakeFormat


class FakeEvaluation:
    """Scores a checkpoint by its number; `error` is raised by the read."""

    error: Exception | None = None
    ends_with: BaseException | None = None
    scores: tuple[Score, ...] | None = None

    def read(self, checkpoint: Checkpoint) -> Weights:
        if self.error:
            raise self.error
        return Weights((), None)

    def score(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        if self.ends_with:
            raise self.ends_with
        if self.scores is not None:
            return [self.scores for _ in loaded]
        return [(Score("accuracy", (one.step or 0) / 10, "val"), Score("loss", math.nan)) for one in loaded]


@pytest.fixture
def evaluation(monkeypatch: pytest.MonkeyPatch) -> FakeEvaluation:
    fake = FakeEvaluation()

    def evaluator_of(config: ModelConfig, stop: threading.Event) -> FakeEvaluation:
        assert (config.entrypoint, config.steps) == ("evaluate:build", 3)
        assert not stop.is_set()
        return fake

    monkeypatch.setattr("sidecar_evaluator.commands.check.evaluator_of", evaluator_of)
    return fake


@pytest.fixture
def check(
    evaluation: FakeEvaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    fake_format = FakeFormat()
    fake_format.lacking = {"ckpt-9"}
    monkeypatch.setitem(FORMATS, "Fake", lambda: fake_format)
    for number in (1, 3, 9):
        (tmp_path / f"ckpt-{number}").write_text("x")

    def run(*flags: Any) -> tuple[int, str, str]:
        common = [f"--checkpoint-dir={tmp_path}", "--format=Fake", "--entrypoint=evaluate:build", "--steps=3"]
        code = main.main(["check", *common, *flags])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_the_newest_complete_one_by_default(check: Callable[..., tuple[int, str, str]]) -> None:
    assert check() == (ExitCode.DRAINED, "ckpt-3 step=3\nval/accuracy=0.3\nloss=NaN\n", "")


def test_the_one_that_is_named(check: Callable[..., tuple[int, str, str]]) -> None:
    assert check("--checkpoint=ckpt-1")[1].splitlines()[:2] == ["ckpt-1 step=1", "val/accuracy=0.1"]


def test_json_for_scripts(check: Callable[..., tuple[int, str, str]]) -> None:
    report = json.loads(check("--json")[1])
    assert (report["checkpoint"], report["step"]) == ("ckpt-3", 3)
    assert report["metrics"][1] == {"name": "loss", "dataset": "default", "value": "NaN"}


def test_a_primary_metric_that_the_model_lacks_is_found_before_the_run(
    check: Callable[..., tuple[int, str, str]],
) -> None:
    assert check("--primary-metric=val/accuracy")[0] == ExitCode.DRAINED
    code, shown, message = check("--primary-metric=acuracy")
    assert (code, shown) == (ExitCode.CONFIGURATION, "")
    assert "no metric acuracy; name one of: val/accuracy, loss in spec.metrics.primary (--primary-metric)" in message


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("ckpt-9", ExitCode.ERROR, "ckpt-9 is not complete: its end."),
        ("ckpt-2", ExitCode.CONFIGURATION, "holds no checkpoint ckpt-2; `sidecar-evaluator ls` shows"),
    ],
)
def test_what_cannot_be_checked(
    name: str, code: ExitCode, message: str, check: Callable[..., tuple[int, str, str]]
) -> None:
    result = check(f"--checkpoint={name}")
    assert result[:2] == (code, "")
    assert message in result[2]


def test_what_training_wrote_instead_is_called_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.h5").touch()
    code = main.main(["check", f"--checkpoint-dir={tmp_path}", "--entrypoint=evaluate:build"])
    assert code == ExitCode.CONFIGURATION
    assert "holds no complete checkpoint; model.h5 is a whole model in HDF5" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_fit(check: Callable[..., tuple[int, str, str]], evaluation: FakeEvaluation) -> None:
    evaluation.error = CheckpointIncompatible("The checkpoint was saved from another architecture.")
    assert check() == (
        ExitCode.ERROR,
        "",
        "sidecar-evaluator: The checkpoint was saved from another architecture.\n",
    )


@pytest.mark.parametrize(
    ("ends_with", "message"),
    [
        (None, "There is no score: the data holds no batch"),
        (ValueError("shapes differ"), "The evaluation failed: ValueError: shapes differ"),
        (SystemExit(0), "The evaluation failed: SystemExit: 0"),
    ],
)
def test_without_a_score_it_fails_and_says_why(
    ends_with: BaseException | None,
    message: str,
    check: Callable[..., tuple[int, str, str]],
    evaluation: FakeEvaluation,
) -> None:
    evaluation.ends_with, evaluation.scores = ends_with, ()
    code, out, err = check()
    assert (code, out) == (ExitCode.ERROR, "")
    assert message in err.splitlines()[-1]


def test_a_directory_without_a_complete_one(check: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    for path in (tmp_path / "ckpt-1", tmp_path / "ckpt-3"):
        path.unlink()
    assert "holds no complete checkpoint" in check()[2]
