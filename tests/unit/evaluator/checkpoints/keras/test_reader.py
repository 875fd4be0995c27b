"""Reading weights: differences are named, and optimizers that only the training has are ignored."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.errors import CheckpointIncompatible
from unit.evaluator.support import saving
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, read
from unit.evaluator.support.models import ModelFactory

FILE = "ckpt-1.weights.h5"


def test_a_file_of_an_older_layout_is_refused_by_name(factory: ModelFactory, tmp_path: Path) -> None:
    saving.weights_file(factory.model(), tmp_path)
    with h5py.File(tmp_path / FILE, "a") as file:
        file.move("layers/dense", "layers/another")
    with pytest.raises(
        CheckpointIncompatible, match=r"is not in the checkpoint.*layers/another/vars/0 is not in the model"
    ):
        read(KerasWeights(), tmp_path, factory.model())


def test_optimizers_of_the_training_alone_are_passed_over(factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = randomized(factory.model()), factory.model()
    saving.weights_file(saved, tmp_path)
    with h5py.File(tmp_path / FILE, "a") as file:
        file["gen_opt/vars/0"] = np.int64(7)
        file["gen_opt/vars/1"] = np.zeros((4, 8), "float32")
    assert is_same(read(KerasWeights(), tmp_path, model), saved.get_weights())
    with h5py.File(tmp_path / FILE, "a") as file:
        file["optional/vars/0"] = np.zeros((4, 8), "float32")
    with pytest.raises(CheckpointIncompatible, match=r"optional/vars/0 is not in the model\."):
        read(KerasWeights(), tmp_path, model)
