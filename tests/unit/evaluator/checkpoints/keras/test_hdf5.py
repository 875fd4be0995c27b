"""HDF5 files: links and external data are refused, files are not locked, and every storage layout is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sidecar_evaluator.checkpoints.keras.hdf5 import Arrays, Region
from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable
from unit.evaluator.support import saving
from unit.evaluator.support.looking import read
from unit.evaluator.support.models import ModelFactory

FILE = "ckpt-1.weights.h5"


def outside(directory: Path, group: Any) -> None:
    (directory / "raw").write_bytes(bytes(128))
    group.create_dataset("0", (4, 8), "float32", external=[(str(directory / "raw"), 0, 128)])


def virtual(directory: Path, group: Any) -> None:
    layout = h5py.VirtualLayout((4, 8), "float32")
    layout[:] = h5py.VirtualSource(str(directory / "other.h5"), "data", (4, 8))
    group.create_virtual_dataset("0", layout)


@pytest.mark.parametrize("keep_elsewhere", [outside, virtual])
def test_data_of_another_file_are_refused(
    keep_elsewhere: Callable[..., None], factory: ModelFactory, tmp_path: Path
) -> None:
    saving.weights_file(factory.model(), tmp_path)
    with h5py.File(tmp_path / FILE, "a") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        keep_elsewhere(tmp_path, group)
    with pytest.raises(CheckpointUnreadable, match="keeps its data in another file, which is refused"):
        read(KerasWeights(), tmp_path, factory.model())


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "/layers"), h5py.SoftLink("/elsewhere")])
@pytest.mark.parametrize("place", ["layers", "layers/dense", "layers/dense/vars/0"])
def test_links_are_not_followed(link: Any, place: str, factory: ModelFactory, tmp_path: Path) -> None:
    saving.weights_file(factory.model(), tmp_path)
    with h5py.File(tmp_path / FILE, "a") as file, h5py.File(tmp_path / "other.h5", "w") as other:
        file.copy("layers", other)
        file.move(place, "elsewhere") if place == "layers" else file.move(place, "aside")
        file[place] = link
    with pytest.raises((CheckpointUnreadable, CheckpointIncompatible), match=r"is refused|is not in the checkpoint"):
        read(KerasWeights(), tmp_path, factory.model())


def test_the_training_can_write_a_file_that_is_being_read(tmp_path: Path) -> None:
    """HDF5 refuses to open a file for writing that somebody has locked."""
    path = tmp_path / FILE
    with h5py.File(path, "w", locking=True) as file:
        file["layers/a"] = np.zeros(10)
    with path.open("rb") as opened, Arrays(Region(opened.fileno(), 0, path.stat().st_size)) as arrays:
        assert set(arrays.datasets(())) == {"layers/a"}
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
        contents = {name: arrays.read(dataset) for name, dataset in arrays.datasets(()).items()}
        assert (contents["g/packed"] == values).all()
        assert (contents["g/swapped"] == values).all()
        assert (contents["g/empty"] == 2.5).all()
        assert contents["g/nothing"].shape == (0, 4)
        assert (arrays.integer("g/number"), arrays.integer("g/other"), arrays.integer("g/packed")) == (7, None, None)
