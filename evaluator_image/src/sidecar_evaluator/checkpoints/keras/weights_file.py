"""Keras weights files, `NAME.weights.h5`, written by `save_weights` of Keras 3 and tf_keras.

Such a file is complete when two looks saw the same state, its superblock tells the size that the
file has (it is written when the file is closed), and HDF5 opens it. Only the model's own variables
are read, and the iteration counter where a compiled model put it.
"""

from pathlib import Path
from typing import Any, BinaryIO

from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, Weights
from sidecar_evaluator.checkpoints.keras.hdf5 import Arrays, Region
from sidecar_evaluator.checkpoints.keras.layout import Layouts
from sidecar_evaluator.checkpoints.keras.reader import read_weights
from sidecar_evaluator.checkpoints.single_file import LastLook, checkpoint_named, readable, size_of
from sidecar_evaluator.errors import CheckpointUnreadable, first_line

_SUFFIX = ".weights.h5"


class KerasWeights(CheckpointFormat):
    """Files ending in `.weights.h5`."""

    name = "KerasWeights"
    loading = "model.load_weights(path)"

    def __init__(self) -> None:
        self._last_look = LastLook()
        self._layouts = Layouts()

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Claim files by their ending."""
        return None if is_directory else checkpoint_named(name, _SUFFIX)

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Make a checkpoint of its file; one that changed since the last look is still being written."""
        return Checkpoint(name, directory / (name + _SUFFIX), self, (*files.values(),), self._last_look.missing(files))

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Return what the file lacks: HDF5 tells in its first bytes how long it must be."""
        try:
            with checkpoint.path.open("rb") as file:
                region = _whole(file)
                if not region.is_whole_hdf5():
                    return "its end is not written yet"
                with Arrays(region):
                    return ""
        except Exception as error:  # HDF5 tells damage by errors of several types
            return f"it does not open: {first_line(error)}"

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read a value for each variable of the model, and the iterations where an optimizer was saved."""
        with readable(checkpoint.path) as file:
            region = _whole(file)
            if not region.is_whole_hdf5():
                raise CheckpointUnreadable("It is being written again.")
            return read_weights(region, self._layouts.of(model), model)


def _whole(file: BinaryIO) -> Region:
    return Region(file.fileno(), 0, size_of(file))
