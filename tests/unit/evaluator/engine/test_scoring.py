"""In every mode the engine's scores are those of `model.evaluate`, for Keras 3 and tf_keras."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.engine import compiled_loop, stepper
from sidecar_evaluator.engine.compiled_loop import compile_loop
from sidecar_evaluator.engine.datasets import arguments_of
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from sidecar_evaluator.options import DataInMemory, Options
from unit.evaluator.support.fakes import checkpoint
from unit.evaluator.support.models import ModelFactory
from unit.evaluator.support.scored_models import CASES, Case

Scores = dict[str, float]
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras 3, of any unknown length
CHECKPOINTS = 3


def prepared(case: Case, factory: ModelFactory, model: Any, where: DataInMemory = DataInMemory.NONE) -> ModelEvaluator:
    evaluation = ModelEvaluator(
        Evaluation(model, case.data(factory), case.steps), threading.Event(), Options(data_in_memory=where)
    )
    evaluation.prepare()
    return evaluation


def checkpoints(model: Any, count: int = CHECKPOINTS) -> list[Loaded]:
    random = np.random.default_rng(7)
    return [
        Loaded(checkpoint(f"ckpt-{10 * at}"), Weights([_like(random, value) for value in model.get_weights()], None))
        for at in range(count)
    ]


def _like(random: Any, value: Any) -> Any:
    return np.abs(random.normal(size=value.shape, scale=0.5)).astype(value.dtype)


def by_keras(case: Case, factory: ModelFactory, model: Any, loaded: Sequence[Loaded]) -> list[Scores]:
    scores = []
    for one in loaded:
        model.set_weights(one.weights.values)
        arguments = arguments_of(case.data(factory))
        logs = model.evaluate(**arguments, steps=case.steps, verbose=0, return_dict=True)
        nested = logs.pop("nested", {})
        scores.append(
            dict(pair for name, value in {**logs, **nested}.items() for pair in named(name, np.asarray(value)))
        )
    return scores


def named(name: str, value: Any) -> list[tuple[str, float]]:
    return [(name, value.item())] if value.size == 1 else [(f"{name}_{at}", item) for at, item in enumerate(value)]


def by_engine(evaluation: ModelEvaluator, loaded: Sequence[Loaded]) -> list[Scores]:
    return [{score.name: score.value for score in scores} for scores in evaluation.score(loaded)]


def assert_same(actual: list[Scores], expected: list[Scores]) -> None:
    assert len({tuple(scores.values()) for scores in expected}) == len(expected), "the checkpoints must differ"
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6, rel=1e-6)


def first_of_each(kind: Callable[[Case], object]) -> set[str]:
    """Return the names of those that the compiled loop scores and whose kind is not that of an earlier one."""
    compiled = {name: case for name, case in CASES.items() if case.compiled_loop}
    return set({kind(case): name for name, case in reversed(compiled.items())}.values())


# How data is kept depends on neither the Keras nor the model, but for arrays, which each Keras cuts in its own way.
OF_EACH_DATA = first_of_each(lambda case: (case.data, case.steps))
KEPT = {(name, "keras") for name in OF_EACH_DATA} | {("arrays", "tf_keras")}
# Whether steps may run side by side depends on what the model's step changes, and is up to each Keras.
OF_EACH_MODEL = first_of_each(lambda case: case.model)
SIDE_BY_SIDE = {(name, keras) for name in OF_EACH_MODEL for keras in ("keras", "tf_keras")} | KEPT


@pytest.mark.parametrize(
    ("case", "factory", "kept", "side_by_side"),
    [
        pytest.param(case, keras, (name, keras) in KEPT, (name, keras) in SIDE_BY_SIDE, id=f"{name}-{keras}")
        for name, case in CASES.items()
        for keras in ("keras", "tf_keras")
        if case.keras3 or keras == "tf_keras"  # some of it Keras 3 itself cannot evaluate
    ],
    indirect=["factory"],
)
def test_scores_are_those_of_evaluate(
    case: Case, factory: ModelFactory, monkeypatch: pytest.MonkeyPatch, *, kept: bool, side_by_side: bool
) -> None:
    unroll_factors = unroll_factors_of_loops(monkeypatch)
    model = case.model(factory)
    evaluation = prepared(case, factory, model)
    loaded = checkpoints(model)
    expected = by_keras(case, factory, model, loaded)
    assert_scored(evaluation, loaded, expected)
    assert (evaluation.examples > 0) == case.compiled_loop
    if side_by_side:
        monkeypatch.setattr(compiled_loop, "worth_unrolling", lambda _tracing, _ran, steps: steps > 0)
        assert_scored(evaluation, loaded, expected)
        assert (compiled_loop.UNROLL in unroll_factors) == case.in_variables
    for where in (DataInMemory.HOST, DataInMemory.DEVICE) if kept else ():
        if where is DataInMemory.HOST or case.dense:
            in_memory = prepared(case, factory, model, where)
            assert_scored(in_memory, loaded, expected)
            assert in_memory.pass_size(8, 1) == 1


def assert_scored(evaluation: ModelEvaluator, loaded: Sequence[Loaded], expected: list[Scores]) -> None:
    """Score one by one and together."""
    assert_same([by_engine(evaluation, [one])[0] for one in loaded], expected)
    assert_same(by_engine(evaluation, loaded), expected)


def unroll_factors_of_loops(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the unroll factors of the loops that are compiled, as they come; none is unrolled by itself."""
    unroll_factors: list[int] = []

    def record_and_compile(step: Any, layout: Any, carried: Any, unroll: int = 1) -> Any:
        unroll_factors.append(unroll)
        return compile_loop(step, layout, carried, unroll)

    monkeypatch.setattr(stepper, "compile_loop", record_and_compile)
    monkeypatch.setattr(compiled_loop, "worth_unrolling", lambda *_: False)
    return unroll_factors
