"""Which dataset of a Keras weights file holds which variable of a model.

Keras alone knows: it names groups after attributes and classes. So each layer is asked to save,
instead of its variables, its number, and the model to save itself: the small file that comes out
tells the group of each layer. Nothing of the model is changed, and no layer's own code for loading
runs on it, so this may be done while the model is being evaluated. Used by the formats of Keras.
"""

import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.keras.custom_layers import OwnWay
from sidecar_evaluator.checkpoints.model_variables import is_tf_keras, metrics_of, optimizers_of, restored_variables
from sidecar_evaluator.errors import CheckpointIncompatible, first_line

_SAVE = "save_own_variables"
_NUMBER = "number"
_NO_LAYER = -1


@dataclass(frozen=True)
class Layout:
    """Where the values of a model are.

    `positions` are those in `restored_variables` by the names of datasets, `own_ways` the layers that load in
    their own way; `beside` are the groups of optimizers and metrics.
    """

    positions: Mapping[str, int]
    own_ways: tuple[OwnWay, ...]
    beside: tuple[str, ...]


class Layouts:
    """Remembers the layout of the model that it was asked for last."""

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[Any], Layout] | None = None

    def of(self, model: Any) -> Layout:
        """Return the layout of a model's weights files.

        Raises CheckpointIncompatible: Keras cannot save the model, or a layer loads in its own way in tf_keras.
        """
        if self._last is None or self._last[0]() is not model:
            self._last = (weakref.ref(model), _layout(model))
        return self._last[1]


def _layout(model: Any) -> Layout:
    layers = list(model._flatten_layers())
    order = {id(variable): position for position, variable in enumerate(restored_variables(model))}
    positions: dict[str, int] = {}
    own_ways, groups = [], _groups(model, layers)
    for group, number in groups.items():
        if number == _NO_LAYER:
            continue
        layer = layers[number]
        variables = _saved_variables(layer)
        if variables is not None:
            positions.update(
                {f"{group}/{key}": order[id(each)] for key, each in variables.items() if id(each) in order}
            )
        elif is_tf_keras(model):
            raise CheckpointIncompatible(
                f"The layer {layer.name} loads its variables in a way of its own, which is understood for models of "
                "Keras 3 only; save TensorFlow checkpoints."
            )
        else:
            own_ways.append(OwnWay.of(group, layer))
    return Layout(positions, tuple(own_ways), tuple(group for group, number in groups.items() if number == _NO_LAYER))


def _groups(model: Any, layers: list[Any]) -> dict[str, int]:
    """Return the number of each layer, optimizer and metric by the group that its variables are saved in."""
    import h5py

    found: dict[str, int] = {}

    def visit(name: str, item: Any) -> None:
        group, _, key = name.rpartition("/")
        if key == _NUMBER:
            found[group] = int(item[()])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layout.weights.h5"
        try:
            with _saving_numbers(model, layers):
                model.save_weights(str(path))
        except Exception as error:
            raise CheckpointIncompatible(
                f"The model's weights cannot be saved by Keras: {first_line(error)}"
            ) from error
        with h5py.File(path, "r", locking=False) as file:
            file.visititems(visit)
    return found


@contextmanager
def _saving_numbers(model: Any, layers: list[Any]) -> Iterator[None]:
    """Shadow how each layer saves; the optimizers' slots and the metrics' sums are of no use here."""
    with ExitStack() as stack:
        for number, layer in enumerate(layers):
            stack.enter_context(_shadowed(layer, number))
        for other in (*optimizers_of(model), *metrics_of(model)):
            stack.enter_context(_shadowed(other, _NO_LAYER))
        yield


@contextmanager
def _shadowed(owner: Any, number: int) -> Iterator[None]:
    """Write past the object's own `__setattr__`, which would track what it is given."""

    def save_number(store: Any) -> None:
        import numpy as np

        store[_NUMBER] = np.int64(number)

    owner.__dict__[_SAVE] = save_number
    try:
        yield
    finally:
        owner.__dict__.pop(_SAVE, None)


def _saved_variables(layer: Any) -> dict[str, Any] | None:
    """Return the variables of a layer by the key that each is saved under, None where its own code decides."""
    if not _is_of_keras(type(layer).load_own_variables):
        return None
    saved: dict[str, Any] = {}
    layer.save_own_variables(saved)
    if not is_tf_keras(layer):
        known = {id(variable) for variable in layer.weights}
        return saved if all(id(value) in known for value in saved.values()) else None
    own = [*layer._trainable_weights, *layer._non_trainable_weights]
    variables = [each for each in own if hasattr(each, "assign")]  # the others are handlers of vocabularies
    keys = [str(position) for position in range(len(variables))]
    return dict(zip(keys, variables, strict=True)) if list(saved) == keys else None


def _is_of_keras(function: Any) -> bool:
    return str(function.__module__).startswith(("keras.", "tf_keras."))
