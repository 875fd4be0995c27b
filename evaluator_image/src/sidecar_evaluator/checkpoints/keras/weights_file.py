"""Keras weights files, `NAME.weights.h5`, written by `save_weights` of Keras 3 and tf_keras.

Such a file is complete when two listings show the same state, the superblock contains the file's size (HDF5
writes it when the file is closed), HDF5 can open the file, and its weights
have no hole. The format reads only the model's variables and
the optimizer's iteration counter. `checkpoints.interface` says who calls which method.
"""

from typing import Any, BinaryIO

from sidecar_evaluator.checkpoints.holes import NOT_WRITTEN
from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.keras.hdf5 import Arrays, Region
from sidecar_evaluator.checkpoints.keras.layout import LayoutCache
from sidecar_evaluator.checkpoints.keras.reader import SKIPPED_GROUPS, read_weights
from sidecar_evaluator.checkpoints.single_file import SingleFileFormat, open_unchanged, size_of
from sidecar_evaluator.checkpoints.vocabularies import VocabularyCheck
from sidecar_evaluator.errors import CheckpointUnreadable, first_line


class KerasWeights(SingleFileFormat):
    """Files ending in `.weights.h5`."""

    name = "KerasWeights"
    suffix = ".weights.h5"
    loading = "model.load_weights(path)"

    def __init__(self) -> None:
        super().__init__()
        self._layouts = LayoutCache()
        self._vocabularies = VocabularyCheck()

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Return why the file is incomplete: the HDF5 superblock contains the size that it must have."""
        try:
            with checkpoint.path.open("rb") as file:
                region = _file_region(file)
                if not region.is_complete_hdf5():
                    return "its end is not written yet"
                with Arrays(region) as arrays:
                    unwritten = arrays.unwritten(SKIPPED_GROUPS)
                    return f"a part of {unwritten} is a hole, {NOT_WRITTEN}" if unwritten else ""
        except Exception as error:  # HDF5 raises several types of errors for damaged files
            return f"it does not open: {first_line(error)}"

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read a value for each variable of the model, and the iterations if an optimizer was saved."""
        with open_unchanged(checkpoint.path) as file:
            region = _file_region(file)
            if not region.is_complete_hdf5():
                raise CheckpointUnreadable("It is being written again.")
            self._vocabularies.compare(model)
            return read_weights(region, self._layouts.of(model), model)


def _file_region(file: BinaryIO) -> Region:
    return Region(file.fileno(), 0, size_of(file))
