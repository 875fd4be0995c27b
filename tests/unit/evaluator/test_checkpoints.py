"""Recognising checkpoints in a listing: names, numbers, and what makes each format complete."""

import os
from pathlib import Path

import h5py
import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint, Files, number_in, state_of
from sidecar_evaluator.checkpoints.keras_weights import KerasWeights
from sidecar_evaluator.checkpoints.tensorflow import TensorFlow


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ckpt-7", 7),
        ("ckpt-0003", 3),
        ("weights.05-0.32", 5),
        ("12", 12),
        ("epoch_10_val", 10),
        ("ckpt-3-val0.91", 3),
        ("model.h5-2", 2),
        ("ckpt-07-0.25", 7),
        ("resnet-50-0001", 1),
        ("run-42-ckpt-7", 7),
        ("best", None),
        ("run2", None),
        ("v2.ckpt", None),
        ("ckpt-99999999999999999999", None),
    ],
)
def test_numbers(name: str, number: int | None) -> None:
    assert number_in(name) == number


def files_in(directory: Path) -> Files:
    return {path.name: state_of(path) for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["ckpt-1.index", "ckpt-1.data-00000-of-00001"], ""),
        (["ckpt-1.index", "ckpt-1.data-00000-of-00002", "ckpt-1.data-00001-of-00002"], ""),
        (["ckpt-1.index", "ckpt-1.data-00001-of-00002"], "1 of its 2 data shards are missing"),
        (["ckpt-1.index"], "its data shards are missing"),
        (["ckpt-1.data-00000-of-00001"], "its index file is missing"),
    ],
)
def test_a_tensorflow_checkpoint_is_complete_with_index_and_every_shard(
    names: list[str], missing: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (found,) = TensorFlow().find(tmp_path, files_in(tmp_path))
    assert (found.name, found.path, found.missing) == ("ckpt-1", tmp_path / "ckpt-1", missing)


def test_an_empty_index_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "ckpt-1.index").touch()
    (tmp_path / "ckpt-1.data-00000-of-00001").touch()
    (found,) = TensorFlow().find(tmp_path, files_in(tmp_path))
    assert found.missing


def test_tensorflow_ignores_what_is_not_its_own(tmp_path: Path) -> None:
    for name in ("checkpoint", "notes.txt", "a.weights.h5", "ckpt-1.data-0-of-1"):
        (tmp_path / name).touch()
    assert list(TensorFlow().find(tmp_path, files_in(tmp_path))) == []


def write_weights(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = [[1.0] * 100] * 100


def look_twice(directory: Path) -> Checkpoint:
    weights = KerasWeights()
    list(weights.find(directory, files_in(directory)))
    (found,) = weights.find(directory, files_in(directory))
    return found


def test_a_weights_file_is_complete_at_the_second_look(tmp_path: Path) -> None:
    write_weights(tmp_path / "ckpt-1.weights.h5")
    weights = KerasWeights()
    (first,) = weights.find(tmp_path, files_in(tmp_path))
    (second,) = weights.find(tmp_path, files_in(tmp_path))
    assert (first.missing, second.missing) == ("its size is still changing", "")
    assert (second.name, second.format.inspect(second)) == ("ckpt-1", "")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_weights_file_without_its_end_is_half_written_however_long_it_rests(share: float, tmp_path: Path) -> None:
    path = tmp_path / "ckpt-1.weights.h5"
    write_weights(path)
    os.truncate(path, int(path.stat().st_size * share))
    found = look_twice(tmp_path)
    assert found.format.inspect(found) == "its end is not written yet"


def test_a_weights_file_that_its_writer_has_not_closed_is_half_written(tmp_path: Path) -> None:
    path = tmp_path / "ckpt-1.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = [[1.0] * 400] * 400
        found = look_twice(tmp_path)
        assert found.missing or found.format.inspect(found)
    found = look_twice(tmp_path)
    assert not found.missing
    assert not found.format.inspect(found)


@pytest.mark.parametrize("content", [b"", b"not hdf5 at all", b"\x89HDF\r\n\x1a\n" + bytes(40)])
def test_what_is_no_hdf5_is_never_complete(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.weights.h5").write_bytes(content)
    found = look_twice(tmp_path)
    assert found.missing or found.format.inspect(found)


def test_a_checkpoint_notices_that_it_is_written_again_or_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    write_weights(path)
    found = look_twice(tmp_path)
    assert found.is_unchanged()
    with path.open("ab") as file:
        file.write(b"more")
    assert not found.is_unchanged()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        found.is_unchanged()
