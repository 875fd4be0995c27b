"""The formats of Keras with real models: what comes out is what was trained, or nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.keras_weights import KerasWeights
from sidecar_evaluator.errors import CheckpointIncompatible
from unit.evaluator import architectures
from unit.evaluator.architectures import randomized
from unit.evaluator.looking import is_same, read
from unit.evaluator.models import Kit


@pytest.mark.parametrize("build", architectures.ALL, ids=lambda build: build.__name__)
def test_values_are_bit_equal_to_those_that_were_saved(build: Callable[[Kit], Any], kit: Kit, tmp_path: Path) -> None:
    if build is architectures.own_layer and not kit.is_keras3:
        pytest.skip("refused: see below")
    trained, model = randomized(build(kit)), build(kit)
    getattr(trained.optimizer, "inner_optimizer", trained.optimizer).iterations.assign(7)
    trained.save_weights(str(tmp_path / "ckpt-1.weights.h5"))
    untouched = model.get_weights()
    weights = read(KerasWeights(), tmp_path, model)
    assert is_same(weights, trained.get_weights())
    assert weights.iterations == 7
    assert all((ours == theirs).all() for ours, theirs in zip(model.get_weights(), untouched, strict=True))


def test_a_layer_of_tf_keras_that_loads_in_its_own_way_is_refused_clearly(tmp_path: Path) -> None:
    import tf_keras

    model = architectures.own_layer(Kit(tf_keras))
    model.save_weights(str(tmp_path / "ckpt-1.weights.h5"))
    with pytest.raises(CheckpointIncompatible, match=r"transposed\S* loads .* in a way of its own.* save TensorFlow"):
        read(KerasWeights(), tmp_path, model)
