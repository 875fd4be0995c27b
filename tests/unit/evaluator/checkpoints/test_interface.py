"""Recognising checkpoints in a listing: names, numbers, and what makes each format complete; no model is read."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from sidecar_evaluator.checkpoints.compatibility import require_same, same_types
from sidecar_evaluator.checkpoints.identity import number_in
from sidecar_evaluator.checkpoints.interface import Files, state_of
from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.checkpoints.registry import FORMATS
from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow
from sidecar_evaluator.errors import CheckpointIncompatible
from unit.evaluator.support.looking import look


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ckpt-7", 7),
        ("ckpt-0003", 3),
        ("ckpt-0", 0),
        ("weights.05-0.32", 5),
        ("weights.05.0.32", 5),
        ("12", 12),
        ("step_00000120", 120),
        ("epoch_10_val", 10),
        ("cp-0001.ckpt", 1),
        ("ckpt-3-val0.91", 3),
        ("epoch_03-valacc_0.912", 3),
        ("ckpt-12-3.21e-02", 12),
        ("ckpt-12-1e-05", 12),
        ("ckpt-3--0.25", 3),
        ("model.h5-2", 2),
        ("ckpt-07-0.25", 7),
        ("resnet-50-0001", 1),
        ("run-42-ckpt-7", 7),
        ("v1.2-ckpt-0005", 5),
        ("2024-01-31_ckpt-7", 7),
        ("best", None),
        ("run2", None),
        ("v2.ckpt", None),
        ("model-v2.1.3", None),
        ("ckpt-0.25", None),
        ("ckpt-99999999999999999999", None),
    ],
)
def test_numbers(name: str, number: int | None) -> None:
    assert number_in(name) == number


CLAIMS = {
    "ckpt-1.index": ("TensorFlow", "ckpt-1"),
    "ckpt-1.data-00000-of-00002": ("TensorFlow", "ckpt-1"),
    "a.b-7.data-00012-of-00020": ("TensorFlow", "a.b-7"),
    "ckpt-1.weights.h5": ("KerasWeights", "ckpt-1"),
    "ckpt-1.keras": ("Keras", "ckpt-1"),
    "7/": ("Orbax", "7"),
    "step_0007/": ("Orbax", "step_0007"),
}
UNCLAIMED = [
    "checkpoint",
    "checkpoint.tmp1234",
    "notes.txt",
    "ckpt-1.data-0-of-1",
    "ckpt-1.data-00000-of-00001.tempstate9876543210",
    "ckpt-1.index.tempstate9876543210",
    "ckpt-1_temp/",
    ".ckpt-1.weights.h5",
    ".ckpt-1.keras",
    ".ckpt-1.index",
    ".index",
    ".keras",
    "ckpt-1.weights.h5.part",
    "ckpt-1.weights.json",
    "ckpt-1.h5",
    "ckpt-1.keras/",
    "ckpt-1.weights.h5/",
    "ckpt-1.index/",
    "saved_model/",
    "train/",
    "7.orbax-checkpoint-tmp-17/",
    "7",
]


@pytest.mark.parametrize("entry", [*CLAIMS, *UNCLAIMED])
def test_an_entry_is_claimed_by_one_format_at_most(entry: str) -> None:
    name, is_directory = entry.rstrip("/"), entry.endswith("/")
    claims = {kind: make().claim(name, is_directory=is_directory) for kind, make in FORMATS.items()}
    expected = [CLAIMS[entry]] if entry in CLAIMS else []
    assert [(kind, claimed) for kind, claimed in claims.items() if claimed is not None] == expected


def files_in(directory: Path) -> Files:
    return {path.name: state_of(directory, path.name) for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["ckpt-1.index", "ckpt-1.data-00000-of-00001"], ""),
        (["ckpt-1.index", "ckpt-1.data-00000-of-00002", "ckpt-1.data-00001-of-00002"], ""),
        (["ckpt-1.index", "ckpt-1.data-00000-of-00001", "ckpt-1.data-00000-of-00002"], ""),
        (["ckpt-1.index", "ckpt-1.data-00001-of-00002"], "1 of its 2 data shards are missing"),
        (["ckpt-1.index"], "its data shards are missing"),
        (["ckpt-1.data-00000-of-00001"], "its index file is missing"),
    ],
)
def test_a_tensorflow_checkpoint_has_an_index_and_every_shard(names: list[str], missing: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    found = TensorFlow().assemble(tmp_path, "ckpt-1", files_in(tmp_path))
    assert (found.name, found.path, found.missing) == ("ckpt-1", tmp_path / "ckpt-1", missing)
    assert [state.name for state in found.files] == sorted(names)


@pytest.mark.parametrize("content", [b"", b"no table of TensorFlow's"])
def test_an_index_that_is_no_table_is_half_written(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ckpt-1.index").write_bytes(content)
    (tmp_path / "ckpt-1.data-00000-of-00001").write_bytes(b"x")
    assert look(TensorFlow(), directory=tmp_path)["ckpt-1"].missing.startswith("its index file is")


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


@pytest.mark.parametrize("content", [b"", b"not hdf5 at all", b"\x89HDF\r\n\x1a\n" + bytes(40)])
@pytest.mark.parametrize(("kind", "suffix"), [("KerasWeights", ".weights.h5"), ("Keras", ".keras")])
def test_what_is_of_another_kind_is_never_complete(kind: str, suffix: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    assert look(FORMATS[kind](), directory=tmp_path)["a"].missing


class Variable:
    """What a format sees of a variable."""

    def __init__(self, dtype: str) -> None:
        self.name, self.path, self.dtype, self.shape = "kernel", "dense/kernel", dtype, (2,)


@pytest.mark.parametrize(("saved", "wanted"), [("float64", "float32"), ("float16", "float32"), ("int32", "int64")])
def test_values_take_the_precision_of_the_model(saved: str, wanted: str) -> None:
    (value,) = same_types([np.ones(2, saved)], [Variable(wanted)])
    assert value.dtype == wanted


@pytest.mark.parametrize(("saved", "wanted"), [("int8", "float32"), ("float32", "int64"), ("bool", "float32")])
def test_whole_numbers_are_no_floating_point_numbers(saved: str, wanted: str) -> None:
    with pytest.raises(CheckpointIncompatible, match=f"dense/kernel is {wanted} in the model and {saved} in"):
        same_types([np.ones(2, saved)], [Variable(wanted)])


def test_the_first_differences_are_named_and_the_others_counted() -> None:
    found = {f"layer_{number}@5": ((2,), None) for number in range(4)} | {"last": ((2,), (3,))}
    with pytest.raises(CheckpointIncompatible, match=r"layer_0 is not in the checkpoint; layer_1 .* and 3 more\.$"):
        require_same(found, ["extra"])
    require_same({"same": ((2,), (2,))}, [])
