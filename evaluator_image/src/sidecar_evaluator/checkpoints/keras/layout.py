"""Determines which dataset of a Keras weights file belongs to which variable of a model.

Keras derives the names of groups from attributes and classes in ways that are not public. Therefore the model
saves its weights to a temporary file, in which each layer writes its number instead of its variables: that file
shows the group of each layer. The Keras formats use it, also while the model is being evaluated; it must not
change the model or run a layer's `load_own_variables`.
"""

import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.keras.custom_layers import CustomLayer
from sidecar_evaluator.checkpoints.model_code import code_of_model
from sidecar_evaluator.checkpoints.model_variables import is_tf_keras, metrics_of, optimizers_of, variables_to_restore
from sidecar_evaluator.checkpoints.weight_order import say_what_only_the_order_tells
from sidecar_evaluator.errors import CheckpointIncompatible, first_line

_SAVE = "save_own_variables"
_NUMBER = "number"
_NO_LAYER = -1
_IDF = "idf_weights"  # of a lookup in the mode tf_idf, which saves the value from which the variable is restored


@dataclass(frozen=True)
class Layout:
    """Where a weights file has the values of a model.

    `positions` maps names of datasets to positions in `variables_to_restore`, `tf_variables` to the `tf.Variable`s of
    Keras's own layers. `custom_layers` are the layers that override `load_own_variables`, and `other_groups` the
    groups of optimizers and metrics.
    """

    positions: Mapping[str, int]
    tf_variables: Mapping[str, Any]
    custom_layers: tuple[CustomLayer, ...]
    other_groups: tuple[str, ...]


class LayoutCache:
    """Caches the layout of the last model."""

    def __init__(self) -> None:
        self._last: tuple[weakref.ref[Any], Layout] | None = None

    def of(self, model: Any) -> Layout:
        """Return the layout of a model's weights files.

        Raises CheckpointIncompatible: Keras cannot save the model, or a tf_keras layer overrides `load_own_variables`.
        ModelCodeError: a layer cannot say which variables it saves.
        """
        if self._last is None or self._last[0]() is not model:
            with code_of_model():
                self._last = (weakref.ref(model), _layout(model))
        return self._last[1]


def _layout(model: Any) -> Layout:
    layers = list(model._flatten_layers())
    order = {id(variable): position for position, variable in enumerate(variables_to_restore(model))}
    saved: dict[str, Any] = {}
    custom_layers, groups = [], _groups(model, layers)
    for group, number in groups.items():
        if number == _NO_LAYER:
            continue
        layer = layers[number]
        variables = _saved_variables(layer)
        if variables is not None:
            saved.update({f"{group}/{key}": variable for key, variable in variables.items()})
        elif is_tf_keras(model):
            raise CheckpointIncompatible(
                f"The layer {layer.name} overrides load_own_variables, which is supported for Keras 3 models only; "
                "save TensorFlow checkpoints."
            )
        else:
            custom_layers.append(CustomLayer.of(group, layer))
    say_what_only_the_order_tells(layers)
    positions = {name: order[id(variable)] for name, variable in saved.items() if id(variable) in order}
    idf_weights = {name: saved[name] for name in saved.keys() - positions if name.endswith(f"/{_IDF}")}
    other_groups = tuple(group for group, number in groups.items() if number == _NO_LAYER)
    return Layout(positions, idf_weights, tuple(custom_layers), other_groups)


def _groups(model: Any, layers: list[Any]) -> dict[str, int]:
    """Return the number of each layer, optimizer and metric by the group in which its variables are saved."""
    import h5py

    groups: dict[str, int] = {}

    def visit(name: str, item: Any) -> None:
        group, _, key = name.rpartition("/")
        if key == _NUMBER:
            groups[group] = int(item[()])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layout.weights.h5"
        try:
            with _saving_numbers(model, layers):
                model.save_weights(str(path))
        except Exception as error:
            raise CheckpointIncompatible(
                f"Keras cannot save the weights of the entry point's model: {first_line(error)}"
            ) from error
        with h5py.File(path, "r", locking=False) as file:
            file.visititems(visit)
    return groups


@contextmanager
def _saving_numbers(model: Any, layers: list[Any]) -> Iterator[None]:
    """Make layers save their numbers, and optimizers and metrics a marker: their values are not needed here."""
    with ExitStack() as stack:
        for number, layer in enumerate(layers):
            stack.enter_context(_override_save(layer, number))
        for optimizer_or_metric in (*optimizers_of(model), *metrics_of(model)):
            stack.enter_context(_override_save(optimizer_or_metric, _NO_LAYER))
        yield


@contextmanager
def _override_save(owner: Any, number: int) -> Iterator[None]:
    """Override `save_own_variables` of one object, without `__setattr__`, which would track the function."""

    def save_number(store: Any) -> None:
        import numpy as np

        store[_NUMBER] = np.int64(number)

    owner.__dict__[_SAVE] = save_number
    try:
        yield
    finally:
        owner.__dict__.pop(_SAVE, None)


def _saved_variables(layer: Any) -> dict[str, Any] | None:
    """Return the variables of a layer by the key under which each is saved, None if the layer's code decides."""
    if not _is_of_keras(type(layer).load_own_variables):
        return None
    saved: dict[str, Any] = {}
    layer.save_own_variables(saved)
    if list(saved) == [_IDF]:
        return {_IDF: getattr(layer, "_lookup_layer", layer).idf_weights}
    if not is_tf_keras(layer):
        weight_ids = {id(variable) for variable in layer.weights}
        return saved if all(id(value) in weight_ids for value in saved.values()) else None
    weights = [*layer._trainable_weights, *layer._non_trainable_weights]
    variables = [weight for weight in weights if hasattr(weight, "assign")]  # without the handlers of vocabularies
    keys = [str(position) for position in range(len(variables))]
    return dict(zip(keys, variables, strict=True)) if list(saved) == keys else None


def _is_of_keras(function: Any) -> bool:
    return str(function.__module__).startswith(("keras.", "tf_keras."))
