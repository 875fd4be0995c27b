"""Assigning weights to a model."""

from pathlib import Path

import numpy as np

from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow
from sidecar_evaluator.engine.keras_model import KerasModel
from unit.evaluator.support.looking import read
from unit.evaluator.support.models import ModelFactory


def test_a_variable_takes_what_was_read_without_a_copy_and_never_changes_it(
    factory: ModelFactory, tmp_path: Path
) -> None:
    factory.save_by_manager(tmp_path)
    model = factory.model()
    held = KerasModel(model)
    weights = read(TensorFlow(), tmp_path, model)
    held.assign(weights, weights.iterations)
    kernel, saved = held.weights()[0], np.array(weights.values[0])
    assert np.shares_memory(np.asarray(kernel.read_value()), np.asarray(weights.values[0]))
    kernel.assign_add(np.ones_like(saved))
    assert np.array_equal(weights.values[0], saved)
    assert np.array_equal(kernel.numpy(), saved + 1)
