"""Keras weights files: when a file is complete."""

import os
from pathlib import Path

import h5py
import pytest

from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.errors import CheckpointUnreadable
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import files_in, is_same, look
from unit.evaluator.support.models import ModelFactory
from unit.evaluator.support.saving import weights_file
from unit.evaluator.support.sparse import write_late, write_with_hole


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


def offset_of(path: Path, dataset: str) -> int:
    with h5py.File(path) as file:
        return int(file[dataset].id.get_offset())


def test_a_weights_file_with_a_hole_is_half_written_until_the_late_block_comes(
    factory: ModelFactory, tmp_path: Path
) -> None:
    path, saved, model = tmp_path / "ckpt-1.weights.h5", randomized(factory.model(4096)), factory.model(4096)
    weights_file(saved, tmp_path)
    whole = look(KerasWeights(), directory=tmp_path)["ckpt-1"]
    kernel = offset_of(path, "layers/dense/vars/0")
    late = write_with_hole(path, path.read_bytes(), kernel)
    missing = "a part of layers/dense/vars/0 is a hole, not written yet or left out by a sparse copy"
    assert look(KerasWeights(), directory=tmp_path)["ckpt-1"].missing == missing
    with pytest.raises(CheckpointUnreadable, match="is a hole, not written yet"):
        read_checkpoint(whole, model)
    write_late(path, late, kernel)
    complete = look(KerasWeights(), directory=tmp_path)["ckpt-1"]
    assert not complete.missing
    assert is_same(read_checkpoint(complete, model), saved.get_weights())


def test_a_hole_in_the_optimizer_is_zeros_that_a_copy_has_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ckpt-1.weights.h5"
    write_weights(path)
    with h5py.File(path, "a") as file:
        file["optimizer/vars/2"] = [[0.0] * 100] * 100
    write_with_hole(path, path.read_bytes(), offset_of(path, "optimizer/vars/2"))
    assert not look(KerasWeights(), directory=tmp_path)["ckpt-1"].missing


def test_one_of_several_files_of_a_save_is_no_checkpoint_unlike_a_file_with_five_digits(tmp_path: Path) -> None:
    """Keras writes `ckpt_00000.weights.h5` beside `ckpt.weights.json`; a training may number its files so as well."""
    for name in ("ckpt_00000.weights.h5", "ckpt_00001.weights.h5", "epoch_00007.weights.h5"):
        (tmp_path / name).write_bytes(b"x")
    assert list(look(KerasWeights(), directory=tmp_path)) == ["ckpt_00000", "ckpt_00001", "epoch_00007"]
    (tmp_path / "ckpt.weights.json").write_text("{}")
    assert list(look(KerasWeights(), directory=tmp_path)) == ["ckpt", "epoch_00007"]
