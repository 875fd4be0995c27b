"""A layer of the user raises while a checkpoint is read: that is told, once, and the file is not called damaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.commands import check
from sidecar_evaluator.commands.main import main
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ExitCode
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.outcome import Reason
from unit.evaluator.support.models import ModelFactory, dataset
from unit.evaluator.support.saving import SAVERS, Saver

MISTAKE = "'Scale' object has no attribute 'offset'"
RAISED = (
    f"The code of the entry point's model raised AttributeError: {MISTAKE}, which no checkpoint causes; "
    "`sidecar-evaluator check` shows where."
)


def with_a_mistake_in(method: str, factory: ModelFactory) -> Any:
    layers = factory.keras.layers

    def mistaken(_self: Any, *_arguments: Any, **_keywords: Any) -> Any:
        raise AttributeError(MISTAKE)

    class Scale(layers.Layer):  # type: ignore[name-defined, misc]
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(name="scale", shape=(4,), initializer="ones")
            super().build(shape)

        def call(self, inputs: Any) -> Any:
            return inputs * self.scale

    if method:
        setattr(Scale, method, property(mistaken) if method == "weights" else mistaken)
    return factory.compiled(factory.keras.Sequential([layers.Input((4,)), Scale(), layers.Dense(2)]))


METHODS = {
    ("keras", SAVERS[0]): ("weights", "_trackable_children"),
    ("keras", SAVERS[1]): ("weights", "save_own_variables", "load_own_variables"),
    ("keras", SAVERS[2]): ("weights", "save_own_variables", "load_own_variables"),
    ("keras", SAVERS[3]): ("weights",),
    ("tf_keras", SAVERS[0]): ("_trackable_children",),  # it asks for the weights before any checkpoint is read
    ("tf_keras", SAVERS[1]): ("save_own_variables",),
    ("tf_keras", SAVERS[2]): ("save_own_variables",),
}
CASES = [
    pytest.param(keras, (saver, method), id=f"{keras}-{saver}-{method}")
    for (keras, saver), methods in METHODS.items()
    for method in methods
]


@pytest.mark.parametrize(("factory", "case"), CASES, indirect=["factory"])
def test_it_is_told_and_not_retried(
    factory: ModelFactory,
    case: tuple[Saver, str],
    tmp_path: Path,
    evaluate_all: Callable[..., Results],
    caplog: pytest.LogCaptureFixture,
) -> None:
    saver, method = case
    saver.save(with_a_mistake_in("", factory), tmp_path, 1)
    (outcome,) = evaluate_all(Evaluation(with_a_mistake_in(method, factory), dataset())).history
    if method == "load_own_variables":
        assert outcome.reason is Reason.INCOMPATIBLE
        assert f"cannot load layers/scale/vars: AttributeError: {MISTAKE}" in outcome.message
    else:
        assert (outcome.reason, outcome.message) == (Reason.EVALUATION_ERROR, RAISED)
    assert not [line for line in caplog.messages if "retrying" in line]


def test_check_shows_where(
    factory: ModelFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    SAVERS[1].save(with_a_mistake_in("", factory), tmp_path, 1)

    def evaluator_of(_config: Any, stop: Any) -> ModelEvaluator:
        evaluator = ModelEvaluator(Evaluation(with_a_mistake_in("save_own_variables", factory), dataset()), stop)
        evaluator.prepare()
        return evaluator

    monkeypatch.setattr(check, "evaluator_of", evaluator_of)
    assert main(["check", f"--checkpoint-dir={tmp_path}", "--entrypoint=evaluate:build"]) == ExitCode.ERROR
    assert capsys.readouterr().err.splitlines()[-1] == f"sidecar-evaluator: {RAISED}"
    assert "in mistaken" in caplog.text
