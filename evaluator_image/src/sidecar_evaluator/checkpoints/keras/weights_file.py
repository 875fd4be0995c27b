"""Keras weights files, `NAME.weights.h5`, written by `save_weights` of Keras 3 and tf_keras.

Such a file is complete when two listings show the same state, the superblock contains the file's size (HDF5
writes it when the file is closed), HDF5 can open the file, and its weights
have no hole. The format reads only the model's variables and
the optimizer's iteration counter. `checkpoints.interface` says who calls which method.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from sidecar_evaluator.checkpoints.holes import NOT_WRITTEN
from sidecar_evaluator.checkpoints.interface import Checkpoint, Files, Weights
from sidecar_evaluator.checkpoints.keras.hdf5 import Arrays, Region
from sidecar_evaluator.checkpoints.keras.layout import LayoutCache
from sidecar_evaluator.checkpoints.keras.reader import SKIPPED_GROUPS, read_weights
from sidecar_evaluator.checkpoints.single_file import SingleFileFormat, open_unchanged, size_of
from sidecar_evaluator.checkpoints.vocabularies import VocabularyCheck
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable, first_line

_LIST = ".weights.json"
_PART = re.compile(r"(?P<name>.+)_\d{5}")  # of the files that Keras writes beside such a list


class KerasWeights(SingleFileFormat):
    """Files ending in `.weights.h5`."""

    name = "KerasWeights"
    suffix = ".weights.h5"
    loading = "model.load_weights(path)"

    def __init__(self) -> None:
        super().__init__()
        self._layouts = LayoutCache()
        self._vocabularies = VocabularyCheck()

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Claim the list of a save in several files as well: it stands for all of them."""
        if name.endswith(_LIST) and not is_directory and not name.startswith("."):
            return name.removesuffix(_LIST)
        return super().claim(name, is_directory=is_directory)

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Create the checkpoint of a file; one of the files of a save in several is none."""
        part = _PART.fullmatch(name)
        if part and (directory / (part["name"] + _LIST)).is_file():
            return Checkpoint(name, directory / self.file_name(name), self, ())
        whole = {file: state for file, state in files.items() if not file.endswith(_LIST)}
        checkpoint = super().assemble(directory, name, whole or files)
        return checkpoint if whole or not files else replace(checkpoint, path=directory / (name + _LIST))

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Return why the file is incomplete: the HDF5 superblock contains the size that it must have."""
        if checkpoint.path.name.endswith(_LIST):
            return ""
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
        if checkpoint.path.name.endswith(_LIST):
            raise CheckpointIncompatible(
                "Its weights are in several files, which are not read; save without max_shard_size, as NAME.weights.h5."
            )
        with open_unchanged(checkpoint.path) as file:
            region = _file_region(file)
            if not region.is_complete_hdf5():
                raise CheckpointUnreadable("It is being written again.")
            self._vocabularies.compare(model)
            return read_weights(region, self._layouts.of(model), model)


def _file_region(file: BinaryIO) -> Region:
    return Region(file.fileno(), 0, size_of(file))
