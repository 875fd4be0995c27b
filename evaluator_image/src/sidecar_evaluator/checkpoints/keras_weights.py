"""Keras weights files, `NAME.weights.h5`, written by `save_weights` of Keras 3 and tf_keras.

Such a file is written in place: it is complete when two looks saw the same size, its superblock
tells the size that the file has, and HDF5 opens it. Only the model's own variables are loaded; the
iteration counter is read from the file, where a compiled model put it. No lock is taken on the
file, so that the training can always write.
"""

import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, Files, FileState
from sidecar_evaluator.checkpoints.variables import Shape, require_same
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable, first_line

_SUFFIX = ".weights.h5"
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# The first belongs to mixed precision's LossScaleOptimizer, whose own counter stays at 0 in Keras 3.
_ITERATIONS = ("optimizer/inner_optimizer/vars/0", "optimizer/vars/0")
_NOT_THE_MODEL = ("optimizer/", "metrics/", "_metrics/", "_loss_tracker/", "_compile_metrics/", "seed_generator/")


class KerasWeights:
    """Files ending in `.weights.h5`."""

    name = "KerasWeights"

    def __init__(self) -> None:
        self._last_look: dict[str, FileState] = {}

    def find(self, directory: Path, files: Files) -> Iterable[Checkpoint]:
        """Recognise weights files; one that changed since the last look is still being written."""
        looked, self._last_look = self._last_look, {}
        for name, state in files.items():
            if name.endswith(_SUFFIX):
                self._last_look[name] = state
                missing = "" if looked.get(name) == state else "its size is still changing"
                yield Checkpoint(
                    name.removesuffix(_SUFFIX), directory / name, self, (state,), missing if state.size else "empty"
                )

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Return what the file lacks: HDF5 tells in its first bytes how long it must be."""
        try:
            expected = _size_in_superblock(checkpoint.path)
            if expected != checkpoint.files[0].size:
                return "its end is not written yet"
            _shapes(checkpoint.path)
        except OSError as error:
            return f"it does not open: {first_line(error)}"
        return ""

    def load(self, checkpoint: Checkpoint, model: Any) -> int | None:
        """Load the model's own variables; return the iterations of a file that holds an optimizer."""
        try:
            shapes = _shapes(checkpoint.path)
            iterations = _iterations(checkpoint.path)
        except (OSError, KeyError, ValueError) as error:
            raise CheckpointUnreadable(first_line(error)) from error
        _require_fit(model, shapes)
        try:
            _load_own_variables(model, str(checkpoint.path))
        except OSError as error:
            raise CheckpointUnreadable(first_line(error)) from error
        except (ValueError, KeyError) as error:
            raise CheckpointIncompatible(first_line(error)) from error
        return iterations


def _size_in_superblock(path: Path) -> int | None:
    with path.open("rb") as file:
        head = file.read(48)
    if len(head) < 48 or not head.startswith(_SIGNATURE):
        return None
    offset = 40 if head[8] < 2 else 28  # where superblock versions 0-1 and 2-3 keep the end of file
    return int(struct.unpack_from("<Q", head, offset)[0])


def _open(path: Path) -> Any:
    import h5py

    return h5py.File(path, "r", locking=False)


def _shapes(path: Path) -> dict[str, Shape]:
    """Return the shape of each variable of the model in the file by its name.

    Raises OSError: the file does not open or keeps data elsewhere.
    """
    import h5py

    shapes: dict[str, Shape] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith(_NOT_THE_MODEL):
            if item.external or item.is_virtual:
                raise OSError(f"{name} keeps its data in another file, which is refused")
            shapes[name] = tuple(item.shape)

    with _open(path) as file:
        file.visititems(visit)
    return shapes


def _iterations(path: Path) -> int | None:
    with _open(path) as file:
        counters = (file[name] for name in _ITERATIONS if name in file)
        return next((int(counter[()]) for counter in counters if counter.dtype.kind in "iu"), None)


def _require_fit(model: Any, shapes: dict[str, Shape]) -> None:
    """Compare how many variables of each shape there are: names in the file are not the model's."""
    saved = Counter(shapes.values())
    found: dict[str, tuple[Shape, Shape | None]] = {}
    for position, variable in enumerate(model.weights):
        shape = tuple(variable.shape)
        found[f"{variable.name}@{position}"] = (shape, shape if saved[shape] > 0 else None)
        saved[shape] -= 1
    excess = [f"{name} {list(shape)}" for name, shape in shapes.items() if shape and saved[shape] > 0]
    require_same(found, excess)


def _load_own_variables(model: Any, path: str) -> None:
    """Load the weights alone: the optimizer's slots and the metrics' sums are of no use here."""
    others = [other for other in (model.optimizer, *model.metrics) if other is not None]
    if not is_tf_keras(model):
        model.load_weights(path, objects_to_skip=others)
        return
    for other in others:
        other.load_own_variables = _load_nothing
    try:
        model.load_weights(path)
    finally:
        for other in others:
            del other.load_own_variables


def _load_nothing(store: object) -> None:
    """Stand in for the method of an object that is not to be loaded."""


def is_tf_keras(model: Any) -> bool:
    """Tell the two Kerases apart without importing either."""
    return any(base.__module__.startswith("tf_keras.") for base in type(model).__mro__)
