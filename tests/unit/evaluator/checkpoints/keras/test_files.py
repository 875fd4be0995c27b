"""Keras's weights files and archives: what is odd in them is refused, and no lock or code of theirs is in the way."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sidecar_evaluator.checkpoints.keras import archive
from sidecar_evaluator.checkpoints.keras.archive import KerasArchive
from sidecar_evaluator.checkpoints.keras.hdf5 import Arrays, Region
from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.checkpoints.reader import read_whole
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable
from unit.evaluator.support import saving
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, look, only, read
from unit.evaluator.support.models import Kit

FILE, ARCHIVE, MEMBER = "ckpt-1.weights.h5", "ckpt-1.keras", "model.weights.h5"


KERAS_3 = pytest.mark.parametrize("kit", ["keras"], indirect=True)


def outside(directory: Path, group: Any) -> None:
    (directory / "raw").write_bytes(bytes(128))
    group.create_dataset("0", (4, 8), "float32", external=[(str(directory / "raw"), 0, 128)])


def virtual(directory: Path, group: Any) -> None:
    layout = h5py.VirtualLayout((4, 8), "float32")
    layout[:] = h5py.VirtualSource(str(directory / "other.h5"), "data", (4, 8))
    group.create_virtual_dataset("0", layout)


@pytest.mark.parametrize("keep_elsewhere", [outside, virtual])
def test_data_of_another_file_are_refused(keep_elsewhere: Callable[..., None], kit: Kit, tmp_path: Path) -> None:
    saving.weights_file(kit.model(), tmp_path)
    with h5py.File(tmp_path / FILE, "a") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        keep_elsewhere(tmp_path, group)
    with pytest.raises(CheckpointUnreadable, match="keeps its data in another file, which is refused"):
        read(KerasWeights(), tmp_path, kit.model())


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "/layers"), h5py.SoftLink("/elsewhere")])
@pytest.mark.parametrize("place", ["layers", "layers/dense", "layers/dense/vars/0"])
def test_links_are_not_followed(link: Any, place: str, kit: Kit, tmp_path: Path) -> None:
    saving.weights_file(kit.model(), tmp_path)
    with h5py.File(tmp_path / FILE, "a") as file, h5py.File(tmp_path / "other.h5", "w") as other:
        file.copy("layers", other)
        file.move(place, "elsewhere") if place == "layers" else file.move(place, "aside")
        file[place] = link
    with pytest.raises((CheckpointUnreadable, CheckpointIncompatible), match=r"is refused|is not in the checkpoint"):
        read(KerasWeights(), tmp_path, kit.model())


def test_the_training_can_write_a_file_that_is_being_read(tmp_path: Path) -> None:
    """HDF5 refuses to open a file for writing that somebody has locked."""
    path = tmp_path / FILE
    with h5py.File(path, "w", locking=True) as file:
        file["layers/a"] = np.zeros(10)
    with path.open("rb") as opened, Arrays(Region(opened.fileno(), 0, path.stat().st_size)) as arrays:
        assert set(arrays.below(())) == {"layers/a"}
        with h5py.File(path, "w", locking=True) as file:
            file["layers/b"] = np.zeros(10)


def test_arrays_in_pieces_packed_swapped_or_never_written_are_read_as_hdf5_reads_them(tmp_path: Path) -> None:
    path, values = tmp_path / "a.h5", np.arange(2000, dtype="float32").reshape(40, 50)
    with h5py.File(path, "w") as file:
        file.create_dataset("g/packed", data=values, chunks=(7, 9), compression="gzip", shuffle=True)
        file.create_dataset("g/swapped", data=values.astype(">f4"))
        file.create_dataset("g/empty", (3, 4), "float32", fillvalue=2.5)
        file.create_dataset("g/nothing", (0, 4), "float32")
        file["g/number"] = np.int64(7)
    with path.open("rb") as opened, Arrays(Region(opened.fileno(), 0, path.stat().st_size)) as arrays:
        found = {name: arrays.read(each) for name, each in arrays.below(()).items()}
        assert (found["g/packed"] == values).all()
        assert (found["g/swapped"] == values).all()
        assert (found["g/empty"] == 2.5).all()
        assert found["g/nothing"].shape == (0, 4)
        assert (arrays.integer("g/number"), arrays.integer("g/other"), arrays.integer("g/packed")) == (7, None, None)


def test_a_compressed_archive_is_read_and_a_bomb_is_not(kit: Kit, tmp_path: Path, monkeypatch: Any) -> None:
    saved, model = randomized(kit.model()), kit.model()
    saving.archive(saved, tmp_path)
    repack(tmp_path / ARCHIVE)
    assert is_same(read(KerasArchive(), tmp_path, model), saved.get_weights())
    monkeypatch.setattr(archive, "_MAX_OTHERS", 0)
    repack(tmp_path / ARCHIVE, {MEMBER: bytes(2**20)})
    with pytest.raises(CheckpointIncompatible, match=r"would unpack to 1048576 bytes, which is refused"):
        read(KerasArchive(), tmp_path, model)


def repack(path: Path, changed: dict[str, bytes] | None = None, *, without: str = "", packed: bool = True) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != without}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in {**members, **(changed or {})}.items():
            archive.writestr(name, content)


def test_a_flipped_byte_in_an_archive_is_noticed(kit: Kit, tmp_path: Path) -> None:
    saved, model = randomized(kit.model()), kit.model()
    saving.archive(saved, tmp_path)
    whole = (tmp_path / ARCHIVE).read_bytes()
    checkpoint = only(KerasArchive(), tmp_path)
    start = whole.index(b"\x89HDF")
    for position in range(start + 8, len(whole) - 400, 97):
        (tmp_path / ARCHIVE).write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(CheckpointUnreadable, match="checksum"):
            read_whole(checkpoint, model)


@KERAS_3
def test_archives_that_keras_did_not_write_are_refused(kit: Kit, tmp_path: Path) -> None:
    model, path = kit.model(), tmp_path / ARCHIVE
    saving.archive(model, tmp_path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(MEMBER, b"another")
    with pytest.raises(CheckpointIncompatible, match=r"holds 2 model\.weights\.h5"):
        read(KerasArchive(), tmp_path, model)
    repack(path, without=MEMBER)
    with pytest.raises(CheckpointIncompatible, match=r"holds no model\.weights\.h5"):
        read(KerasArchive(), tmp_path, model)
    repack(path, {MEMBER: b"no hdf5"}, packed=False)
    with pytest.raises(CheckpointUnreadable):
        read(KerasArchive(), tmp_path, model)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(MEMBER, b"packed in a rare way")
    with pytest.raises(CheckpointIncompatible, match="packed in an unknown way"):
        read(KerasArchive(), tmp_path, model)


def test_an_archive_that_is_hdf5_is_told_apart_from_half_an_archive(tmp_path: Path) -> None:
    with h5py.File(tmp_path / ARCHIVE, "w") as file:
        file["model_weights/dense/kernel"] = np.zeros(10)
    assert look(KerasArchive(), directory=tmp_path)["ckpt-1"].missing == "it is an HDF5 file and no archive"


@KERAS_3
def test_a_model_is_built_compiled_from_an_archive(kit: Kit, tmp_path: Path) -> None:
    saved = randomized(kit.model())
    saving.archive(saved, tmp_path)
    checkpoint = only(KerasArchive(), tmp_path)
    built = checkpoint.format.model_in(checkpoint)
    assert kit.score(built) == kit.score(saved)
    assert is_same(read_whole(checkpoint, built), saved.get_weights())


def with_code(kit: Kit) -> Any:
    layers = kit.keras.layers
    return kit.keras.Sequential([layers.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(2)])


def with_own_class(kit: Kit) -> Any:
    class Doubled(kit.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    return kit.keras.Sequential([kit.keras.layers.Input((4,)), Doubled(), kit.keras.layers.Dense(2)])


@KERAS_3
@pytest.mark.parametrize("build", [with_code, with_own_class], ids=["lambda", "class"])
def test_a_model_that_needs_code_is_not_built_from_an_archive(
    build: Callable[[Kit], Any], kit: Kit, tmp_path: Path
) -> None:
    saved = kit.compiled(build(kit))
    saving.archive(saved, tmp_path)
    checkpoint = only(KerasArchive(), tmp_path)
    with pytest.raises(
        CheckpointIncompatible, match=r"cannot be built from the checkpoint alone.* Return a model from"
    ):
        checkpoint.format.model_in(checkpoint)
    assert is_same(read_whole(checkpoint, kit.compiled(build(kit))), saved.get_weights())


@KERAS_3
def test_only_a_whole_archive_of_keras_3_is_built(kit: Kit, tmp_path: Path, monkeypatch: Any) -> None:
    import tf_keras

    monkeypatch.setattr(archive, "_MAX_TEXT", 2**20)
    saving.archive(Kit(tf_keras).model(), tmp_path, 2)
    saving.weights_file(kit.model(), tmp_path, 3)
    saving.archive(kit.model(), tmp_path, 4)
    repack(tmp_path / "ckpt-4.keras", {"config.json": b" " * 2**21})
    saving.archive(kit.model(), tmp_path, 5)
    found = look(KerasArchive(), KerasWeights(), directory=tmp_path)
    whole = (tmp_path / "ckpt-5.keras").read_bytes()
    (tmp_path / "ckpt-5.keras").write_bytes(whole.replace(b"batch_normalization", b"match_normalization"))
    assert found["ckpt-3"].format.model_in(found["ckpt-3"]) is None
    for name, error, message in (
        ("ckpt-2", CheckpointIncompatible, r"written by Keras 2\..* Return a model"),
        ("ckpt-4", CheckpointIncompatible, "config.json would unpack to 2097152 bytes"),
        ("ckpt-5", CheckpointUnreadable, "CRC"),
    ):
        with pytest.raises(error, match=message):
            found[name].format.model_in(found[name])


def test_recurrent_and_random_layers_find_their_places(kit: Kit, tmp_path: Path) -> None:
    def build() -> Any:
        layers = kit.keras.layers
        inputs = layers.Input((4,))
        hidden = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.Reshape((4, 1))(inputs))
        hidden = layers.Dropout(0.5)(layers.GaussianNoise(1.0)(layers.GRU(3)(hidden)))
        return kit.compiled(kit.keras.Model(inputs, layers.Dense(2)(hidden)))

    saved, model = randomized(build()), build()
    saving.weights_file(saved, tmp_path)
    assert is_same(read(KerasWeights(), tmp_path, model), saved.get_weights())


def test_a_file_of_an_older_layout_is_refused_by_name(kit: Kit, tmp_path: Path) -> None:
    saving.weights_file(kit.model(), tmp_path)
    with h5py.File(tmp_path / FILE, "a") as file:
        file.move("layers/dense", "layers/another")
    with pytest.raises(
        CheckpointIncompatible, match=r"is not in the checkpoint.*layers/another/vars/0 is not in the model"
    ):
        read(KerasWeights(), tmp_path, kit.model())


def test_optimizers_of_the_training_alone_are_passed_over(kit: Kit, tmp_path: Path) -> None:
    saved, model = randomized(kit.model()), kit.model()
    saving.weights_file(saved, tmp_path)
    with h5py.File(tmp_path / FILE, "a") as file:
        file["gen_opt/vars/0"] = np.int64(7)
        file["gen_opt/vars/1"] = np.zeros((4, 8), "float32")
    assert is_same(read(KerasWeights(), tmp_path, model), saved.get_weights())
    with h5py.File(tmp_path / FILE, "a") as file:
        file["optional/vars/0"] = np.zeros((4, 8), "float32")
    with pytest.raises(CheckpointIncompatible, match=r"optional/vars/0 is not in the model\."):
        read(KerasWeights(), tmp_path, model)
