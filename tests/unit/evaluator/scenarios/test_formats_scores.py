"""In every format the scores equal those of `model.evaluate` in the training, whatever else a model contains."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.checkpoints.model_variables import variables_to_restore
from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import CheckpointIncompatible
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from unit.evaluator.support import odd_models, saving
from unit.evaluator.support.fakes import checkpoint
from unit.evaluator.support.looking import read
from unit.evaluator.support.models import ModelFactory, dataset
from unit.evaluator.support.odd_models import trained
from unit.evaluator.support.saving import SAVERS

KERAS_3 = pytest.mark.parametrize("factory", ["keras"], indirect=True)

Build = Callable[[ModelFactory], Any]


def prepared(model: Any) -> ModelEvaluator:
    evaluation = ModelEvaluator(Evaluation(model, dataset()), threading.Event())
    evaluation.prepare()
    return evaluation


def scores_of(evaluation: ModelEvaluator, *weights: Weights) -> list[dict[str, float]]:
    loaded = [Loaded(checkpoint("ckpt-1"), values) for values in weights]
    return [{score.name: score.value for score in scores} for scores in evaluation.score(loaded)]


@pytest.mark.parametrize("build", odd_models.ALL, ids=lambda build: build.__name__)
def test_a_model_that_holds_more_than_layers_is_scored_as_in_training(
    build: Build, factory: ModelFactory, tmp_path: Path
) -> None:
    saved, model = trained(build(factory)), build(factory)
    evaluation = prepared(model)
    first = Weights([np.array(variable) for variable in variables_to_restore(model)], None)
    for saver in SAVERS:
        if factory.is_keras3 or not saver.keras3_only:
            directory = tmp_path / str(saver)
            directory.mkdir()
            saver.save(saved, directory, 1)
            reader = saver.format()
            scores_of(evaluation, first)
            (alone,) = scores_of(evaluation, read(reader, directory, model))
            _, together = scores_of(evaluation, first, read(reader, directory, model))
            assert alone == together == pytest.approx(factory.score(saved), abs=1e-6), saver


def test_variables_of_tensorflow_in_a_model_are_restored(factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = (odd_models.variables_of_tensorflow(factory) for _ in range(2))
    evaluation = prepared(model)
    trained(saved)
    reader, restored, expected = TensorFlow(), [], []
    for number in (1, 2, 3):
        saved.factor.assign([1.0 + number, 2.0])
        saved.scaled.scale.assign([3.0, -2.0, number, 1.0])
        saved.scaled.shift.values.assign([0.0, number, 0.0, -1.0])
        saving.tensorflow(saved, directory := tmp_path / str(number))
        restored.append(read(reader, directory, model))
        expected.append(pytest.approx(factory.score(saved), abs=1e-6))
    assert [scores_of(evaluation, weights)[0] for weights in restored] == expected
    assert scores_of(evaluation, *restored) == expected
    if factory.is_keras3:
        with pytest.raises(CheckpointIncompatible, match=r"no place for the tf\.Variables"):
            evaluation.export(restored[0], tmp_path / "best.weights.h5")


@KERAS_3
def test_a_variable_of_tensorflow_that_is_not_in_the_checkpoint_is_named(factory: ModelFactory, tmp_path: Path) -> None:
    import tensorflow as tf

    saved, model = (odd_models.variables_of_tensorflow(factory) for _ in range(2))
    for unbuilt in (trained(saved), model):
        factory.score(unbuilt)
    saving.tensorflow(saved, tmp_path)
    model.scaled.other = tf.Variable(1.0)
    with pytest.raises(CheckpointIncompatible, match=r"scaled/other is not in the checkpoint"):
        read(TensorFlow(), tmp_path, model)


def test_a_table_that_holds_something_else_is_refused(factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = (odd_models.with_a_table(factory) for _ in range(2))
    trained(saved).layers[0].table.insert(["c"], [3.0])
    saving.tensorflow(saved, tmp_path)
    with pytest.raises(CheckpointIncompatible, match=r"lookup table \S*table differs from that of the entry point"):
        read(TensorFlow(), tmp_path, model)


@KERAS_3
def test_what_a_layer_loads_in_its_own_way_is_assigned_when_it_is_scored(factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = (odd_models.overriding_load_own_variables(factory) for _ in range(2))
    evaluation = prepared(model)
    reader, restored, expected = KerasWeights(), [], []
    for number in (1, 2, 3):
        trained(saved).layers[0].scale.assign([3.0, -2.0, number, 1.0])
        (directory := tmp_path / str(number)).mkdir()
        saving.weights_file(saved, directory)
        restored.append(read(reader, directory, model))
        expected.append(pytest.approx(factory.score(saved), abs=1e-6))
    assert (model.layers[0].scale.numpy() == 1.0).all()
    assert [scores_of(evaluation, weights)[0] for weights in restored] == expected
    assert scores_of(evaluation, *restored) == expected


@KERAS_3
@pytest.mark.parametrize("loads", ["shift", "shifts"])
def test_a_layer_that_loads_what_is_no_variable_is_refused_and_left_alone(
    loads: str, factory: ModelFactory, tmp_path: Path
) -> None:
    model = odd_models.overriding_load_own_variables(factory)
    saving.weights_file(odd_models.overriding_load_own_variables(factory), tmp_path)
    model.layers[0].loads = loads
    before = factory.score(model)
    with pytest.raises(
        CheckpointIncompatible, match=rf"layer own\S* loads {loads}, which is not a variable; create it"
    ):
        read(KerasWeights(), tmp_path, model)
    assert not model.layers[0].shift.any()
    assert factory.score(model) == before
