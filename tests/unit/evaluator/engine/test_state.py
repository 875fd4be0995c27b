"""A score depends on its checkpoint and the data, and on nothing that was scored before."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from unit.evaluator.engine.test_scoring import Scores, checkpoints
from unit.evaluator.support.fakes import checkpoint
from unit.evaluator.support.models import BATCH, ModelFactory, arrays, dataset
from unit.evaluator.support.scored_metrics import kept_in_a_table, kept_in_python
from unit.evaluator.support.scored_models import batches_of, plain

Build = Callable[[ModelFactory], Any]


def recurrent(factory: ModelFactory) -> Any:
    layers = factory.keras.layers
    batches = {"batch_shape" if factory.is_keras3 else "batch_input_shape": (BATCH, 4)}
    first = [layers.InputLayer(**batches), layers.Reshape((4, 1))]
    return factory.compiled(factory.keras.Sequential([*first, layers.SimpleRNN(3, stateful=True), layers.Dense(2)]))


def noisy(factory: ModelFactory) -> Any:
    import tensorflow as tf

    class Noise(factory.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            seeded = factory.keras.random.SeedGenerator if factory.is_keras3 else tf.random.Generator.from_seed
            self.generator = seeded(5)

        def call(self, inputs: Any) -> Any:
            if factory.is_keras3:
                return inputs + factory.keras.random.normal(tf.shape(inputs), seed=self.generator)
            return inputs + self.generator.normal(tf.shape(inputs))

    layers = factory.keras.layers
    return factory.compiled(factory.keras.Sequential([layers.Input((4,)), Noise(), layers.Dense(2)]))


def counting(factory: ModelFactory) -> Any:
    import tensorflow as tf

    class Counting(factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.batches = tf.Variable(0.0, trainable=False)

        def test_step(self, data: Any) -> Any:
            return {**super().test_step(data), "batches": self.batches.assign_add(1.0)}

    inputs = factory.keras.layers.Input((4,))
    return factory.compiled(Counting(inputs, factory.keras.layers.Dense(2)(inputs)))


MODELS = [recurrent, noisy, counting]
DATA: dict[str, Build] = {
    "one dataset": lambda factory: dataset(3),
    "two datasets": lambda factory: {"val": dataset(3), "test": dataset(4)},
    "model.evaluate": batches_of,
    "both ways": lambda factory: {"val": batches_of(factory), "test": dataset(4)},
}


def prepared(model: Any, data: Any, steps: int | None = None) -> ModelEvaluator:
    evaluation = ModelEvaluator(Evaluation(model, data, steps), threading.Event())
    evaluation.prepare()
    return evaluation


def scored(evaluation: ModelEvaluator, *loaded: Any) -> list[Scores]:
    results = evaluation.score(loaded)
    return [{f"{score.dataset}/{score.name}": score.value for score in scores} for scores in results]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("data", DATA)
def test_every_checkpoint_begins_with_the_model_as_it_was_prepared(
    model: Build, data: str, factory: ModelFactory
) -> None:
    loaded = checkpoints(model(factory), 2)
    expected = [scored(prepared(model(factory), DATA[data](factory)), one)[0] for one in loaded]
    evaluation = prepared(model(factory), DATA[data](factory))
    for _ in range(2):
        together = scored(evaluation, *loaded)
        one_by_one = [scored(evaluation, one)[0] for one in loaded]
        for actual in (together, one_by_one):
            assert [pytest.approx(scores, abs=1e-6) for scores in expected] == actual


@pytest.mark.parametrize("model", MODELS)
def test_a_second_dataset_goes_on_from_the_first_as_in_keras(model: Build, factory: ModelFactory) -> None:
    loaded = checkpoints(model(factory))
    trained, expected = model(factory), {}
    trained.set_weights(loaded[1].weights.values)
    for name, data in DATA["two datasets"](factory).items():
        logs = trained.evaluate(data, verbose=0, return_dict=True)
        expected.update({f"{name}/{metric}": value for metric, value in logs.items()})
    actual = scored(prepared(model(factory), DATA["two datasets"](factory)), *loaded)[1]
    assert actual == pytest.approx(expected, abs=1e-6)


def test_building_an_unbuilt_model_by_model_evaluate_leaves_no_trace(factory: ModelFactory) -> None:
    class Unbuilt(factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.noise, self.dense = noisy(factory).layers[-2], factory.keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.dense(self.noise(inputs))

    evaluation = prepared(factory.compiled(Unbuilt()), batches_of(factory))
    loaded = checkpoints(noisy(factory))[0]
    assert scored(evaluation, loaded) == [
        pytest.approx(scored(prepared(noisy(factory), batches_of(factory)), loaded)[0])
    ]


def words(factory: ModelFactory) -> Any:
    """A layer that looks words up in a table, and never changes it."""
    layers = factory.keras.layers
    inputs = layers.Input((1,), dtype="string")
    numbers = layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")(inputs)
    return factory.compiled(factory.keras.Model(inputs, layers.Dense(2)(numbers)))


def text(factory: ModelFactory) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((np.array([["a"], ["b"], ["c"]] * 9), np.arange(27) % 2)).batch(BATCH)


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        (plain, dataset, 3),
        (noisy, dataset, 3),
        (words, text, 3),
        (kept_in_python, dataset, 1),
        (kept_in_a_table, dataset, 1),
    ],
)
def test_checkpoints_share_a_pass_where_all_that_steps_change_can_be_exchanged(
    model: Build, data: Callable[..., Any], expected: int, factory: ModelFactory
) -> None:
    evaluation = prepared(model(factory), text(factory) if data is text else dataset())
    assert evaluation.pass_size(3, 1) == expected


def test_a_step_that_cannot_be_traced_says_so_when_it_is_scored(factory: ModelFactory) -> None:
    class Broken(factory.keras.Model):  # type: ignore[name-defined, misc]
        def test_step(self, data: Any) -> Any:
            raise RuntimeError("broken")

    inputs = factory.keras.layers.Input((4,))
    model = factory.compiled(Broken(inputs, factory.keras.layers.Dense(2)(inputs)))
    evaluation = prepared(model, dataset())
    assert evaluation.pass_size(3, 1) == 1
    with pytest.raises(RuntimeError, match="broken"):
        evaluation.score(checkpoints(model))


def noting(factory: ModelFactory, data: Any, steps: int | None) -> tuple[list[int], ModelEvaluator]:
    """Prepare a model that is not built and runs eagerly; return also how many rows it sees in each batch."""
    rows: list[int] = []

    class Noting(factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = factory.keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            rows.append(int(inputs.shape[0]))
            return self.dense(inputs)

    model = Noting()
    model.compile("adam", loss="mse", run_eagerly=True)
    return rows, prepared(model, data, steps)


@pytest.mark.parametrize(("steps", "expected"), [(None, 32), (5, 13)])
def test_an_unbuilt_model_is_built_with_a_batch_of_the_usual_size(
    steps: int | None, expected: int, factory: ModelFactory
) -> None:
    x, _ = arrays(3)
    rows, _ = noting(factory, (x, x[:, :2]), steps)
    assert set(rows) == {expected}


def test_a_generator_loses_nothing_to_building(factory: ModelFactory) -> None:
    def batches() -> Any:
        for at in range(1, 100):
            yield np.ones((at, 4), "float32"), np.zeros((at, 2), "float32")

    rows, evaluation = noting(factory, batches(), steps=3)
    rows.clear()
    weights = [np.ones((4, 2), "float32"), np.ones(2, "float32")]
    evaluation.score([Loaded(checkpoint("best"), Weights(weights, None))])
    assert rows == [1, 2, 3]
