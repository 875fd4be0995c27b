"""The formats of Keras with real models: what comes out is what was trained, or nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import CheckpointFormat
from sidecar_evaluator.checkpoints.keras_archive import KerasArchive
from sidecar_evaluator.checkpoints.keras_weights import KerasWeights
from sidecar_evaluator.errors import CheckpointIncompatible
from unit.evaluator import architectures
from unit.evaluator.architectures import randomized
from unit.evaluator.looking import is_same, read
from unit.evaluator.models import Kit

Format = Callable[[], CheckpointFormat]


def save(checkpoint_format: Format, model: Any, directory: Path, name: str = "ckpt-1") -> Path:
    """Save as Keras's ModelCheckpoint does, in whichever of its formats."""
    if checkpoint_format is KerasArchive:
        path = directory / f"{name}.keras"
        model.save(str(path))
    else:
        path = directory / f"{name}.weights.h5"
        model.save_weights(str(path))
    return path


@pytest.fixture(params=[KerasWeights, KerasArchive])
def checkpoint_format(request: pytest.FixtureRequest) -> Format:
    """Both formats, one after the other."""
    chosen: Format = request.param
    return chosen


@pytest.mark.parametrize("build", architectures.ALL, ids=lambda build: build.__name__)
def test_values_are_bit_equal_to_those_that_were_saved(
    build: Callable[[Kit], Any], checkpoint_format: Format, kit: Kit, tmp_path: Path
) -> None:
    trained, model = randomized(build(kit)), build(kit)
    getattr(trained.optimizer, "inner_optimizer", trained.optimizer).iterations.assign(7)
    save(checkpoint_format, trained, tmp_path)
    untouched = model.get_weights()
    if build is architectures.own_layer and not kit.is_keras3:
        with pytest.raises(
            CheckpointIncompatible, match=r"transposed\S* loads .* in a way of its own.* save TensorFlow"
        ):
            read(checkpoint_format(), tmp_path, model)
        return
    weights = read(checkpoint_format(), tmp_path, model)
    assert is_same(weights, trained.get_weights())
    assert weights.iterations == 7
    assert all((ours == theirs).all() for ours, theirs in zip(model.get_weights(), untouched, strict=True))
