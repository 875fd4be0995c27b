"""Layers such as Normalization are scored with the statistics of the checkpoint, not with earlier ones."""

import threading
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.engine.finalized_layers import FinalizedLayers
from sidecar_evaluator.engine.keras_model import KerasModel
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from unit.evaluator.support.fakes import checkpoint
from unit.evaluator.support.models import ModelFactory, arrays, dataset


def normalized(factory: ModelFactory, scale: float) -> Any:
    """Return a model whose normalization has seen data of this scale."""
    layers = factory.keras.layers
    layer = layers.Normalization()
    layer.adapt(arrays()[0] * scale + scale)
    return factory.compiled(factory.keras.Sequential([layers.Input((4,)), layer, layers.Dense(2)]))


def test_a_layer_that_is_not_built_yet_counts(factory: ModelFactory) -> None:
    base, layer = factory.keras.layers.Layer, factory.keras.layers.Normalization()
    assert FinalizedLayers([layer], base)
    assert not FinalizedLayers([factory.keras.layers.Dense(2)], base)


def test_each_checkpoint_is_scored_with_its_own_statistics(factory: ModelFactory) -> None:
    trained = [normalized(factory, scale) for scale in (1.0, 3.0, 0.2)]
    for other in trained[1:]:
        other.layers[-1].set_weights(trained[0].layers[-1].get_weights())
    expected = [factory.score(model) for model in trained]
    evaluation = ModelEvaluator(Evaluation(normalized(factory, 50.0), dataset()), threading.Event())
    evaluation.prepare()
    loaded = [
        Loaded(checkpoint("best"), Weights([weight.numpy() for weight in model.weights], None)) for model in trained
    ]
    assert evaluation.pass_size(len(loaded), loaded[0].weights.size) == 1
    for one, scores in zip([*loaded, loaded[0]], [*expected, expected[0]], strict=True):
        (checkpoint_scores,) = evaluation.score([one])
        assert {score.name: score.value for score in checkpoint_scores} == pytest.approx(scores, abs=1e-6)


def test_layers_that_have_nothing_to_finalize_are_scored_by_the_compiled_loop(factory: ModelFactory) -> None:
    assert KerasModel(factory.model()).why_model_evaluate() == ""
    assert KerasModel(normalized(factory, 1.0)).why_model_evaluate() != ""
