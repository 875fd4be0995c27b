"""Orbax steps as Keras's callback and Orbax itself write them: what comes out is what was saved, or nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.orbax import Orbax
from sidecar_evaluator.checkpoints.reading import read_whole
from sidecar_evaluator.errors import CheckpointError, CheckpointIncompatible, CheckpointUnreadable
from unit.evaluator import architectures
from unit.evaluator.architectures import randomized
from unit.evaluator.looking import is_same, look, only, read
from unit.evaluator.models import BATCH, EXAMPLES, Kit, dataset

BATCHES = EXAMPLES // BATCH

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*shuffle.*:UserWarning"),
]


def keras3() -> Kit:
    import keras

    return Kit(keras)


def save_by_callback(directory: Path, model: Any, *, epochs: int = 1, **options: Any) -> None:
    """Let the callback save as `fit` does, without training."""
    import keras

    saver = keras.callbacks.OrbaxCheckpoint(str(directory), **options)
    saver.set_model(model)
    for epoch in range(epochs):
        saver.on_epoch_end(epoch, {})
    saver.on_train_end()


def save_by_manager(directory: Path, tree: Any, step: int = 7, **options: Any) -> None:
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(directory, options=ocp.CheckpointManagerOptions(**options)) as manager:
        manager.save(step, args=ocp.args.StandardSave(tree))
        manager.wait_until_finished()


@pytest.mark.parametrize("build", architectures.ALL, ids=lambda build: build.__name__)
@pytest.mark.parametrize("weights_only", [True, False])
def test_values_are_bit_equal_to_those_that_the_callback_saved(
    build: Callable[[Kit], Any], weights_only: bool, tmp_path: Path
) -> None:
    trained, model = randomized(build(keras3())), build(keras3())
    getattr(trained.optimizer, "inner_optimizer", trained.optimizer).iterations.assign(9)
    save_by_callback(tmp_path, trained, epochs=2, save_weights_only=weights_only)
    checkpoint = only(Orbax(), tmp_path)
    weights = read_whole(checkpoint, model)
    assert is_same(weights, trained.get_weights())
    assert weights.iterations == (None if weights_only else 9)
    assert checkpoint.number == 1
