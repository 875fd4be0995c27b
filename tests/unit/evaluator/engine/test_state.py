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
from unit.evaluator.support.models import BATCH, Kit, arrays, dataset
from unit.evaluator.support.scored_metrics import kept_in_a_table, kept_in_python
from unit.evaluator.support.scored_models import batches_of, plain

Build = Callable[[Kit], Any]


def recurrent(kit: Kit) -> Any:
    layers = kit.keras.layers
    batches = {"batch_shape" if kit.is_keras3 else "batch_input_shape": (BATCH, 4)}
    first = [layers.InputLayer(**batches), layers.Reshape((4, 1))]
    return kit.compiled(kit.keras.Sequential([*first, layers.SimpleRNN(3, stateful=True), layers.Dense(2)]))


def noisy(kit: Kit) -> Any:
    import tensorflow as tf

    class Noise(kit.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            seeded = kit.keras.random.SeedGenerator if kit.is_keras3 else tf.random.Generator.from_seed
            self.generator = seeded(5)

        def call(self, inputs: Any) -> Any:
            if kit.is_keras3:
                return inputs + kit.keras.random.normal(tf.shape(inputs), seed=self.generator)
            return inputs + self.generator.normal(tf.shape(inputs))

    layers = kit.keras.layers
    return kit.compiled(kit.keras.Sequential([layers.Input((4,)), Noise(), layers.Dense(2)]))


def counting(kit: Kit) -> Any:
    import tensorflow as tf

    class Counting(kit.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.batches = tf.Variable(0.0, trainable=False)

        def test_step(self, data: Any) -> Any:
            return {**super().test_step(data), "batches": self.batches.assign_add(1.0)}

    inputs = kit.keras.layers.Input((4,))
    return kit.compiled(Counting(inputs, kit.keras.layers.Dense(2)(inputs)))


MODELS = [recurrent, noisy, counting]
DATA: dict[str, Build] = {
    "one dataset": lambda kit: dataset(3),
    "two datasets": lambda kit: {"val": dataset(3), "test": dataset(4)},
    "model.evaluate": batches_of,
    "both ways": lambda kit: {"val": batches_of(kit), "test": dataset(4)},
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
def test_every_checkpoint_begins_with_the_model_as_it_was_prepared(model: Build, data: str, kit: Kit) -> None:
    loaded = checkpoints(model(kit), 2)
    expected = [scored(prepared(model(kit), DATA[data](kit)), one)[0] for one in loaded]
    evaluation = prepared(model(kit), DATA[data](kit))
    for _ in range(2):
        together = scored(evaluation, *loaded)
        one_by_one = [scored(evaluation, one)[0] for one in loaded]
        for actual in (together, one_by_one):
            assert [pytest.approx(scores, abs=1e-6) for scores in expected] == actual


@pytest.mark.parametrize("model", MODELS)
def test_a_second_dataset_goes_on_from_the_first_as_in_keras(model: Build, kit: Kit) -> None:
    loaded = checkpoints(model(kit))
    trained, expected = model(kit), {}
    trained.set_weights(loaded[1].weights.values)
    for name, data in DATA["two datasets"](kit).items():
        logs = trained.evaluate(data, verbose=0, return_dict=True)
        expected.update({f"{name}/{metric}": value for metric, value in logs.items()})
    actual = scored(prepared(model(kit), DATA["two datasets"](kit)), *loaded)[1]
    assert actual == pytest.approx(expected, abs=1e-6)


def test_building_an_unbuilt_model_by_model_evaluate_leaves_no_trace(kit: Kit) -> None:
    class Unbuilt(kit.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.noise, self.dense = noisy(kit).layers[-2], kit.keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.dense(self.noise(inputs))

    evaluation = prepared(kit.compiled(Unbuilt()), batches_of(kit))
    loaded = checkpoints(noisy(kit))[0]
    assert scored(evaluation, loaded) == [pytest.approx(scored(prepared(noisy(kit), batches_of(kit)), loaded)[0])]


def words(kit: Kit) -> Any:
    """A layer that looks words up in a table, and never changes it."""
    layers = kit.keras.layers
    inputs = layers.Input((1,), dtype="string")
    numbers = layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")(inputs)
    return kit.compiled(kit.keras.Model(inputs, layers.Dense(2)(numbers)))


def text(kit: Kit) -> Any:
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
    model: Build, data: Callable[..., Any], expected: int, kit: Kit
) -> None:
    evaluation = prepared(model(kit), text(kit) if data is text else dataset())
    assert evaluation.pass_size(3, 1) == expected


def test_a_step_that_cannot_be_traced_says_so_when_it_is_scored(kit: Kit) -> None:
    class Broken(kit.keras.Model):  # type: ignore[name-defined, misc]
        def test_step(self, data: Any) -> Any:
            raise RuntimeError("broken")

    inputs = kit.keras.layers.Input((4,))
    model = kit.compiled(Broken(inputs, kit.keras.layers.Dense(2)(inputs)))
    evaluation = prepared(model, dataset())
    assert evaluation.pass_size(3, 1) == 1
    with pytest.raises(RuntimeError, match="broken"):
        evaluation.score(checkpoints(model))


def noting(kit: Kit, data: Any, steps: int | None) -> tuple[list[int], ModelEvaluator]:
    """Prepare a model that is not built and runs eagerly; return also how many rows it sees in each batch."""
    rows: list[int] = []

    class Noting(kit.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = kit.keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            rows.append(int(inputs.shape[0]))
            return self.dense(inputs)

    model = Noting()
    model.compile("adam", loss="mse", run_eagerly=True)
    return rows, prepared(model, data, steps)


@pytest.mark.parametrize(("steps", "expected"), [(None, 32), (5, 13)])
def test_an_unbuilt_model_is_built_with_a_batch_of_the_usual_size(steps: int | None, expected: int, kit: Kit) -> None:
    x, _ = arrays(3)
    rows, _ = noting(kit, (x, x[:, :2]), steps)
    assert set(rows) == {expected}


def test_a_generator_loses_nothing_to_building(kit: Kit) -> None:
    def batches() -> Any:
        for at in range(1, 100):
            yield np.ones((at, 4), "float32"), np.zeros((at, 2), "float32")

    rows, evaluation = noting(kit, batches(), steps=3)
    rows.clear()
    weights = [np.ones((4, 2), "float32"), np.ones(2, "float32")]
    evaluation.score([Loaded(checkpoint("best"), Weights(weights, None))])
    assert rows == [1, 2, 3]
