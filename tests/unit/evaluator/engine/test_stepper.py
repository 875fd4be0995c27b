"""The compiled loop: traced once, paced so that a stop is soon seen, by XLA where that is asked for."""

import threading
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.engine.stepper import StepsPerExecution
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError, Stopped
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.options import Compilation, DataInMemory, Options
from unit.evaluator.engine.test_scoring import by_engine, checkpoints
from unit.evaluator.support.models import ModelFactory, arrays, dataset
from unit.evaluator.support.scored_models import UNEVEN, uneven


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("seconds_per_step", [0.00001, 0.001, 0.03, 0.2, 3.0])
def test_a_call_soon_takes_about_as_long_as_a_stop_may(seconds_per_step: float) -> None:
    clock = Clock()
    pace = StepsPerExecution(clock)
    taken = []
    for call in range(8):
        steps = pace.value
        pace.begin()
        clock.now += steps * seconds_per_step + (30.0 if call == 0 else 0.0)  # compiling
        pace.end(steps)
        taken.append(steps * seconds_per_step)
    assert max(taken[2:]) <= max(0.5, seconds_per_step)
    assert taken[-1] >= min(0.2, 4096 * seconds_per_step)


def counting(factory: ModelFactory) -> tuple[Any, list[Any]]:
    """Return a model that notes each tracing of its step."""
    traced: list[Any] = []

    class Counting(factory.keras.Model):  # type: ignore[name-defined, misc]
        def test_step(self, data: Any) -> Any:
            traced.append(data)
            return super().test_step(data)

    inputs = factory.keras.layers.Input((4,))
    return factory.compiled(Counting(inputs, factory.keras.layers.Dense(2)(inputs))), traced


@pytest.mark.parametrize("data", ["dataset", "arrays", "full arrays"])
@pytest.mark.parametrize("where", DataInMemory)
def test_the_step_is_traced_once_for_all_evaluations(data: str, where: DataInMemory, factory: ModelFactory) -> None:
    datasets = {"dataset": uneven(factory), "arrays": arrays(3, UNEVEN), "full arrays": arrays(3, 96)}[data]
    model, traced = counting(factory)
    evaluation = ModelEvaluator(Evaluation(model, datasets), threading.Event(), Options(data_in_memory=where))
    evaluation.prepare()
    assert len(traced) == 0, "a built model needs no tracing before the first evaluation"
    loaded = checkpoints(model)
    for one in loaded:
        by_engine(evaluation, [one])
    once = 2 if where is DataInMemory.DEVICE and data == "dataset" else 1  # read at first, then cut out of rows
    assert len(traced) <= 2 * once
    traced.clear()
    by_engine(evaluation, loaded)
    by_engine(evaluation, loaded[:1])
    assert len(traced) == 0


def test_an_unbuilt_model_is_traced_once_for_building_and_scoring(factory: ModelFactory) -> None:
    model = factory.subclassed()
    evaluation = ModelEvaluator(Evaluation(model, uneven(factory)), threading.Event())
    evaluation.prepare()
    assert len(model.weights) == 4


def test_a_stop_ends_an_evaluation_between_two_calls(factory: ModelFactory) -> None:
    stop = threading.Event()
    reported: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        reported.append((done, total))
        if len(reported) == 1:
            stop.set()

    model = factory.model()
    evaluation = ModelEvaluator(Evaluation(model, uneven(factory)), stop, progress=progress)
    evaluation.prepare()
    loaded = checkpoints(model)
    for together in (loaded, loaded[:1]):
        with pytest.raises(Stopped):
            evaluation.score(together)
    assert reported == [(1, 6)], "the second evaluation was stopped before its first batch"
    stop.clear()
    assert len(evaluation.score(loaded[:1])[0]) == 2


def test_a_stop_is_seen_while_batches_are_read(factory: ModelFactory) -> None:
    import tensorflow as tf

    stop = threading.Event()

    def read(index: Any) -> Any:
        stop.set()
        return np.zeros(4, "float32"), np.int64(index)

    rows = tf.data.Dataset.range(10**9).map(lambda at: tf.numpy_function(read, [at], [tf.float32, tf.int64]))
    data = rows.map(lambda x, y: (tf.ensure_shape(x, [4]), tf.ensure_shape(y % 2, []))).batch(2)
    model = factory.model()
    evaluation = ModelEvaluator(Evaluation(model, data), stop)
    evaluation.prepare()
    with pytest.raises(Stopped):
        evaluation.score(checkpoints(model)[:1])


def test_progress_counts_batches_and_examples(factory: ModelFactory) -> None:
    reported: list[tuple[int, int | None]] = []
    model = factory.model()
    evaluation = ModelEvaluator(
        Evaluation(model, uneven(factory)), threading.Event(), progress=lambda *counts: reported.append(counts)
    )
    evaluation.prepare()
    for _ in range(2):
        evaluation.score(checkpoints(model)[:1])
    assert evaluation.examples == 2 * UNEVEN
    assert (reported[0], reported[-1]) == ((1, 6), (6, 6))
    assert [done for done, _ in reported].count(6) == 2


def test_xla_compiles_and_the_scores_stay(factory: ModelFactory) -> None:
    model = factory.model()
    plain = ModelEvaluator(Evaluation(model, uneven(factory)), threading.Event())
    plain.prepare()
    loaded = checkpoints(model)
    expected = by_engine(plain, loaded)
    by_xla = ModelEvaluator(Evaluation(model, uneven(factory)), threading.Event(), Options(compilation=Compilation.XLA))
    by_xla.prepare()
    assert model.jit_compile is True
    for ours, theirs in zip(by_engine(by_xla, loaded), expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_what_xla_cannot_compile_is_a_configuration_error(factory: ModelFactory) -> None:
    import tensorflow as tf

    class Unique(factory.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def call(self, inputs: Any) -> Any:
            return inputs * tf.cast(tf.strings.length(tf.strings.as_string(tf.reduce_sum(inputs))), inputs.dtype)

    layers = factory.keras.layers
    model = factory.compiled(factory.keras.Sequential([layers.Input((4,)), Unique(), layers.Dense(2)]))
    evaluation = ModelEvaluator(Evaluation(model, dataset()), threading.Event(), Options(compilation=Compilation.XLA))
    evaluation.prepare()
    with pytest.raises(ConfigurationError, match=r"XLA cannot compile.*leave the compilation at Default"):
        evaluation.score(checkpoints(model)[:1])
