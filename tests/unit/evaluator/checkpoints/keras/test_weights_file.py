"""Keras weights files: when a file is complete."""

import os
from pathlib import Path

import h5py
import pytest

from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from unit.evaluator.support.looking import files_in, look


def write_weights(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = [[1.0] * 100] * 100


def test_a_weights_file_is_complete_at_the_second_look(tmp_path: Path) -> None:
    write_weights(tmp_path / "ckpt-1.weights.h5")
    weights = KerasWeights()
    first = weights.assemble(tmp_path, "ckpt-1", files_in(tmp_path))
    second = weights.assemble(tmp_path, "ckpt-1", files_in(tmp_path))
    assert (first.missing, second.missing) == ("its size is still changing", "")
    assert (second.name, second.format.inspect(second)) == ("ckpt-1", "")
    with (tmp_path / "ckpt-1.weights.h5").open("ab") as file:
        file.write(b"more")
    third = weights.assemble(tmp_path, "ckpt-1", files_in(tmp_path))
    assert third.missing == "its size is still changing"


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_weights_file_without_its_end_is_half_written_however_long_it_rests(share: float, tmp_path: Path) -> None:
    path = tmp_path / "ckpt-1.weights.h5"
    write_weights(path)
    os.truncate(path, int(path.stat().st_size * share))
    assert look(KerasWeights(), directory=tmp_path, times=3)["ckpt-1"].missing == "its end is not written yet"


def test_a_weights_file_that_its_writer_has_not_closed_is_half_written(tmp_path: Path) -> None:
    path = tmp_path / "ckpt-1.weights.h5"
    with h5py.File(path, "w") as file:
        for number in range(5):
            file[f"layers/dense_{number}/vars/0"] = [[1.0] * 400] * 400
            assert look(KerasWeights(), directory=tmp_path)["ckpt-1"].missing
    assert not look(KerasWeights(), directory=tmp_path)["ckpt-1"].missing
