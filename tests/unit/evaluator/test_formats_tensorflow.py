"""TensorFlow's format with real models: what comes out is what was trained, or nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.tensorflow import TensorFlow
from unit.evaluator import architectures
from unit.evaluator.architectures import randomized
from unit.evaluator.looking import is_same, read
from unit.evaluator.models import Kit

INDEX, SHARD = "ckpt-1.index", "ckpt-1.data-00000-of-00001"


def save(directory: Path, model: Any, **others: Any) -> str:
    import tensorflow as tf

    others.setdefault("optimizer", model.optimizer)
    return str(tf.train.Checkpoint(model=model, **others).save(str(directory / "ckpt")))


@pytest.mark.parametrize("build", architectures.ALL, ids=lambda build: build.__name__)
def test_values_are_bit_equal_to_those_that_were_saved(build: Callable[[Kit], Any], kit: Kit, tmp_path: Path) -> None:
    trained, model = randomized(build(kit)), build(kit)
    trained.optimizer.iterations.assign(7)
    save(tmp_path, trained)
    untouched = [np.array(value) for value in model.get_weights()]
    weights = read(TensorFlow(), tmp_path, model)
    assert is_same(weights, trained.get_weights())
    assert weights.iterations == 7
    assert all((ours == theirs).all() for ours, theirs in zip(model.get_weights(), untouched, strict=True))
