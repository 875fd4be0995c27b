"""Every layer of Keras that has state is restored from every format, in both Kerases."""

import importlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.model_variables import variables_to_restore
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from unit.evaluator.support.fakes import checkpoint
from unit.evaluator.support.keras_layers import KERASES, STATEFUL, WITHOUT_STATE, Stateful
from unit.evaluator.support.looking import is_same, read
from unit.evaluator.support.saving import SAVERS, Saver

ROWS = [(case, keras) for case in STATEFUL for keras in case.kerases]
SAVERS_OF = {"keras": SAVERS, "tf_keras": [saver for saver in SAVERS if not saver.keras3_only]}


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize(("case", "name"), ROWS, ids=str)
def test_the_state_of_a_layer_is_restored_from_every_format(case: Stateful, name: str, tmp_path: Path) -> None:
    keras = importlib.import_module(name)
    saved, model = case.model(keras), case.model(keras)
    expected = random_values(saved, learned=case.adapt is not None)
    for saver in SAVERS_OF[name]:
        directory = tmp_path / str(saver)
        directory.mkdir()
        saver.save(saved, directory, 1)
        assert is_same(read(saver.format(), directory, model), expected), saver


def random_values(model: Any, *, learned: bool) -> list[Any]:
    """Give each variable another value, as training does, except those that were learned from data."""
    random, variables = np.random.default_rng(1), variables_to_restore(model)
    for variable in variables:
        if not learned and None not in variable.shape:
            variable.assign(random.uniform(0.1, 1.0, variable.shape))
    model.optimizer.build(model.trainable_variables)
    return [np.array(variable) for variable in variables]


@pytest.mark.parametrize("name", KERASES)
def test_no_layer_is_forgotten(name: str) -> None:
    """A layer that is neither in the table nor known to have no state has to be added to one of them."""
    layers = importlib.import_module(name).layers
    exported = {
        item.__name__
        for item in vars(layers).values()
        if isinstance(item, type) and issubclass(item, layers.Layer) and item.__module__.startswith(f"{name}.src.")
    }
    assert exported - {case.name for case in STATEFUL} - WITHOUT_STATE == set()


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize("saver", SAVERS[:3], ids=str)
@pytest.mark.parametrize("name", KERASES)
@pytest.mark.parametrize("layer", ["StringLookup", "TextVectorization"])
def test_words_are_weighted_as_in_the_training(layer: str, name: str, saver: Saver, tmp_path: Path) -> None:
    """Keras computes with a constant of these weights, also in a step that it compiled for another checkpoint."""
    import tensorflow as tf

    keras, scores = importlib.import_module(name), []
    texts, targets = [["red"], ["blue"], ["blue"]], [[1.0], [2.0], [3.0]]
    data = tf.data.Dataset.from_tensor_slices((texts, targets)).batch(3)

    def build(first_weight: float) -> Any:
        layers = keras.layers
        lookup = getattr(layers, layer)(
            vocabulary=["red", "blue"], idf_weights=[first_weight, 2.0], output_mode="tf_idf"
        )
        model = keras.Sequential(
            [keras.Input((1,), dtype="string"), lookup, layers.Dense(1, kernel_initializer="ones")]
        )
        model.compile(keras.optimizers.SGD(), loss="mse", jit_compile=False)
        return model

    model = build(9.0)
    evaluator = ModelEvaluator(Evaluation(model, data), threading.Event())
    evaluator.prepare()
    for number in (1, 2):
        trained = build(float(number))
        directory = tmp_path / str(number)
        directory.mkdir()
        saver.save(trained, directory, number)
        ((score, *_),) = evaluator.score([Loaded(checkpoint("ckpt-1"), read(saver.format(), directory, model))])
        scores.append(score.value == pytest.approx(trained.evaluate(data, verbose=0), abs=1e-6))
    assert scores == [True, True]
