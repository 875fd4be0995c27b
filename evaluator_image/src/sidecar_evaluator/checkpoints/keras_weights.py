"""Keras weights files, `NAME.weights.h5`, written by `save_weights` of Keras 3 and tf_keras.

Such a file is written in place: it is complete when two looks saw the same state, its superblock
tells the size that the file has, and HDF5 opens it. Only the model's own variables are read, and
the iteration counter where a compiled model put it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from sidecar_evaluator.checkpoints.hdf5 import Arrays, Region, size_in_superblock
from sidecar_evaluator.checkpoints.interface import Checkpoint, Files, FileState, Weights
from sidecar_evaluator.checkpoints.keras_layout import Layout, Layouts, load_own_way
from sidecar_evaluator.checkpoints.variables import Shape, name_of, require_same, same_types
from sidecar_evaluator.errors import CheckpointError, CheckpointUnreadable, first_line

_SUFFIX = ".weights.h5"
# The first belongs to mixed precision's LossScaleOptimizer, whose own counter stays at 0 in Keras 3.
_ITERATIONS = ("optimizer/inner_optimizer/vars/0", "optimizer/vars/0")
_NOT_THE_MODEL = ("optimizer", "metrics", "_metrics", "_loss_tracker", "_compile_metrics", "seed_generator")
_RANDOM_STATES = {"seed_generator", "random_generator", "_random_generator"}


class KerasWeights:
    """Files ending in `.weights.h5`."""

    name = "KerasWeights"

    def __init__(self) -> None:
        self._last_look: dict[str, FileState] = {}
        self._layouts = Layouts()

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Claim files by their ending."""
        return claimed(name, _SUFFIX, is_directory=is_directory)

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Make a checkpoint of its file; one that changed since the last look is still being written."""
        file = name + _SUFFIX
        return Checkpoint(name, directory / file, self, tuple(files.values()), still_written(self._last_look, files))

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Return what the file lacks: HDF5 tells in its first bytes how long it must be."""
        try:
            with checkpoint.path.open("rb") as file:
                if size_in_superblock(file.read(48)) != os.fstat(file.fileno()).st_size:
                    return "its end is not written yet"
                with Arrays(_whole(file)):
                    return ""
        except Exception as error:  # HDF5 tells damage by errors of several types
            return f"it does not open: {first_line(error)}"

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read a value for each variable of the model, and the iterations where an optimizer was saved."""
        with readable(checkpoint.path) as file:
            region = _whole(file)
            head = bytearray(48)
            region.read_at(head, 0)
            if size_in_superblock(bytes(head)) != os.fstat(file.fileno()).st_size:
                raise CheckpointUnreadable("It is being written again.")
            return read_weights(region, self._layouts.of(model), model)


def claimed(name: str, suffix: str, *, is_directory: bool) -> str | None:
    """Return what comes before a file's suffix; hidden files are other programs' unfinished copies."""
    if is_directory or name.startswith(".") or not name.endswith(suffix):
        return None
    return name.removesuffix(suffix) or None


def still_written(last_look: dict[str, FileState], files: Files) -> str:
    """Say what a file of one checkpoint lacks, and remember its state for the next look."""
    state = next(iter(files.values()), None)
    if state is None or not state.size:
        return "it is empty"
    same = last_look.get(state.name) == state
    last_look[state.name] = state
    return "" if same else "its size is still changing"


@contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """Open a file and compare it before and after: where it changed, even an error may be of two saves.

    Raises CheckpointUnreadable: it cannot be read, or changed.
    """
    try:
        with path.open("rb") as file:
            before = _identity(file)
            try:
                yield file
            except CheckpointError:
                _require_identity(file, before)
                raise
            _require_identity(file, before)
    except CheckpointError:
        raise
    except Exception as error:  # the HDF5 library tells damage by errors of several types
        raise CheckpointUnreadable(first_line(error)) from error


def read_weights(region: Region, layout: Layout, model: Any) -> Weights:
    """Read the arrays of a model from an open file.

    Raises CheckpointIncompatible: they are those of another model.
    """
    with Arrays(region) as arrays:
        datasets = arrays.below(_NOT_THE_MODEL)
        values = dict(_own_ways(arrays, datasets, layout, model))
        _require_fit(datasets, layout, model, values)
        for name, position in layout.positions.items():
            values[position] = arrays.read(datasets[name])
        found = (arrays.integer(name) for name in _ITERATIONS)
        iterations = next((count for count in found if count is not None), None)
    ordered = [values[position] for position in range(len(model.weights))]
    return Weights(same_types(ordered, model.weights), iterations)


def _own_ways(arrays: Arrays, datasets: Mapping[str, Any], layout: Layout, model: Any) -> Iterator[tuple[int, Any]]:
    others = set(layout.positions.values())
    variables = {position: each for position, each in enumerate(model.weights) if position not in others}
    for own_way in layout.own_ways:
        start = own_way.group + "/"
        own = {name.removeprefix(start): each for name, each in datasets.items() if name.startswith(start)}
        loaded = load_own_way(own_way, {name: arrays.read(each) for name, each in own.items()}, variables)
        yield from loaded.items()


def _require_fit(datasets: Mapping[str, Any], layout: Layout, model: Any, values: Mapping[int, Any]) -> None:
    saved: dict[int, Shape] = {position: tuple(value.shape) for position, value in values.items()}
    for name, position in layout.positions.items():
        if name in datasets:
            saved[position] = tuple(datasets[name].shape)
    found = {name_of(each): (tuple(each.shape), saved.get(position)) for position, each in enumerate(model.weights)}
    starts = tuple(own_way.group + "/" for own_way in layout.own_ways)
    excess = [name for name in datasets if name not in layout.positions and not name.startswith(starts)]
    require_same(found, [name for name in excess if not _RANDOM_STATES & set(name.split("/"))])


def _whole(file: BinaryIO) -> Region:
    return Region(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _require_identity(file: BinaryIO, before: tuple[int, int]) -> None:
    if _identity(file) != before:
        raise CheckpointUnreadable("It was written again while it was read.")
