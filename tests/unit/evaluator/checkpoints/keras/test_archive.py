"""Keras archives: which ones are read, which are refused, and which a model is built from."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sidecar_evaluator.checkpoints.keras import archive
from sidecar_evaluator.checkpoints.keras.archive import KerasArchive
from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable
from unit.evaluator.support import saving
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, look, only, read
from unit.evaluator.support.models import ModelFactory
from unit.evaluator.support.sparse import write_with_hole

ARCHIVE, MEMBER = "ckpt-1.keras", "model.weights.h5"

KERAS_3 = pytest.mark.parametrize("factory", ["keras"], indirect=True)


def test_a_compressed_archive_is_read_and_a_bomb_is_not(
    factory: ModelFactory, tmp_path: Path, monkeypatch: Any
) -> None:
    saved, model = randomized(factory.model()), factory.model()
    saving.archive(saved, tmp_path)
    repack(tmp_path / ARCHIVE)
    assert is_same(read(KerasArchive(), tmp_path, model), saved.get_weights())
    monkeypatch.setattr(archive, "_MAX_OTHER_BYTES", 0)
    repack(tmp_path / ARCHIVE, {MEMBER: bytes(2**20)})
    with pytest.raises(
        CheckpointIncompatible, match=r"would decompress to 1048576 bytes, more than such a model can have"
    ):
        read(KerasArchive(), tmp_path, model)


def repack(path: Path, changed: dict[str, bytes] | None = None, *, without: str = "", packed: bool = True) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != without}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in {**members, **(changed or {})}.items():
            archive.writestr(name, content)


def test_a_flipped_byte_in_an_archive_is_noticed(factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = randomized(factory.model()), factory.model()
    saving.archive(saved, tmp_path)
    whole = (tmp_path / ARCHIVE).read_bytes()
    checkpoint = only(KerasArchive(), tmp_path)
    start = whole.index(b"\x89HDF")
    for position in range(start + 8, len(whole) - 400, 97):
        (tmp_path / ARCHIVE).write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(CheckpointUnreadable, match="checksum"):
            read_checkpoint(checkpoint, model)


@KERAS_3
def test_archives_that_keras_did_not_write_are_refused(factory: ModelFactory, tmp_path: Path) -> None:
    model, path = factory.model(), tmp_path / ARCHIVE
    saving.archive(model, tmp_path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(MEMBER, b"another")
    with pytest.raises(CheckpointIncompatible, match=r"contains 2 model\.weights\.h5"):
        read(KerasArchive(), tmp_path, model)
    repack(path, without=MEMBER)
    with pytest.raises(CheckpointIncompatible, match=r"contains no model\.weights\.h5"):
        read(KerasArchive(), tmp_path, model)
    repack(path, {MEMBER: b"no hdf5"}, packed=False)
    with pytest.raises(CheckpointUnreadable):
        read(KerasArchive(), tmp_path, model)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(MEMBER, b"packed in a rare way")
    with pytest.raises(CheckpointIncompatible, match="compressed by an unsupported method"):
        read(KerasArchive(), tmp_path, model)


def test_an_archive_that_is_hdf5_is_told_apart_from_half_an_archive(tmp_path: Path) -> None:
    with h5py.File(tmp_path / ARCHIVE, "w") as file:
        file["model_weights/dense/kernel"] = np.zeros(10)
    assert look(KerasArchive(), directory=tmp_path)["ckpt-1"].missing == "it is an HDF5 file and no archive"


@KERAS_3
def test_a_model_is_built_compiled_from_an_archive(factory: ModelFactory, tmp_path: Path) -> None:
    saved = randomized(factory.model())
    saving.archive(saved, tmp_path)
    checkpoint = only(KerasArchive(), tmp_path)
    built = checkpoint.format.model_in(checkpoint)
    assert factory.score(built) == factory.score(saved)
    assert is_same(read_checkpoint(checkpoint, built), saved.get_weights())


def with_code(factory: ModelFactory) -> Any:
    layers = factory.keras.layers
    return factory.keras.Sequential([layers.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(2)])


def with_own_class(factory: ModelFactory) -> Any:
    class Doubled(factory.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    return factory.keras.Sequential([factory.keras.layers.Input((4,)), Doubled(), factory.keras.layers.Dense(2)])


@KERAS_3
@pytest.mark.parametrize("build", [with_code, with_own_class], ids=["lambda", "class"])
def test_a_model_that_needs_code_is_not_built_from_an_archive(
    build: Callable[[ModelFactory], Any], factory: ModelFactory, tmp_path: Path
) -> None:
    saved = factory.compiled(build(factory))
    saving.archive(saved, tmp_path)
    checkpoint = only(KerasArchive(), tmp_path)
    with pytest.raises(
        CheckpointIncompatible, match=r"cannot be built from the checkpoint alone.* Return a model from"
    ):
        checkpoint.format.model_in(checkpoint)
    assert is_same(read_checkpoint(checkpoint, factory.compiled(build(factory))), saved.get_weights())


@KERAS_3
def test_only_a_whole_archive_of_keras_3_is_built(factory: ModelFactory, tmp_path: Path, monkeypatch: Any) -> None:
    import tf_keras

    monkeypatch.setattr(archive, "_MAX_TEXT_BYTES", 2**20)
    saving.archive(ModelFactory(tf_keras).model(), tmp_path, 2)
    saving.weights_file(factory.model(), tmp_path, 3)
    saving.archive(factory.model(), tmp_path, 4)
    repack(tmp_path / "ckpt-4.keras", {"config.json": b" " * 2**21})
    saving.archive(factory.model(), tmp_path, 5)
    checkpoints = look(KerasArchive(), KerasWeights(), directory=tmp_path)
    whole = (tmp_path / "ckpt-5.keras").read_bytes()
    (tmp_path / "ckpt-5.keras").write_bytes(whole.replace(b"batch_normalization", b"match_normalization"))
    assert checkpoints["ckpt-3"].format.model_in(checkpoints["ckpt-3"]) is None
    for name, error, message in (
        ("ckpt-2", CheckpointIncompatible, r"written by Keras 2\..* Return a model"),
        ("ckpt-4", CheckpointIncompatible, "config.json would decompress to 2097152 bytes"),
        ("ckpt-5", CheckpointUnreadable, "CRC"),
    ):
        with pytest.raises(error, match=message):
            checkpoints[name].format.model_in(checkpoints[name])


def test_zeros_that_a_copy_has_left_out_are_no_hole_where_a_checksum_proves_them(
    factory: ModelFactory, tmp_path: Path
) -> None:
    path, saved = tmp_path / "ckpt-1.keras", factory.model(4096)
    saved.set_weights([np.zeros_like(value) for value in saved.get_weights()])
    saving.archive(saved, tmp_path)
    content = path.read_bytes()
    assert not any(write_with_hole(path, content, content.index(bytes(8192))))
    assert is_same(read(KerasArchive(), tmp_path, factory.model(4096)), saved.get_weights())
