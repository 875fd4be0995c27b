"""Loads Keras 3 layers that override `load_own_variables`, by running that code on a stand-in for the layer.

The override may change any attribute of its layer, and it would do so while another checkpoint is evaluated.
Therefore it runs on an object of the layer's class with copies of everything that can be changed in place.
The values that it assigns to weights and `tf.Variable`s are returned to `keras.reader`; if it would change
anything else, the checkpoint is refused. The layer itself must not change.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar_evaluator.errors import CheckpointIncompatible, first_line


@dataclass(frozen=True)
class CustomLayer:
    """A layer that overrides `load_own_variables`, its HDF5 group, and its attributes before any checkpoint."""

    group: str
    layer: Any
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, group: str, layer: Any) -> "CustomLayer":
        """Copy the attributes that the layer has now."""
        return cls(group, layer, _deep_copy(vars(layer)))


@dataclass(frozen=True)
class LoadedLayer:
    """The values of weights by position, and the `tf.Variable`s of the layer, each with its value."""

    values: Mapping[int, Any]
    tf_variables: list[tuple[Any, Any]]


@dataclass(frozen=True)
class _VariableState:
    """A `tf.Variable` and its value; `copies` contains the variable that stands in for it."""

    variable: Any
    value: Any

    def copy(self, copies: dict[int, tuple[Any, Any]]) -> Any:
        import tensorflow as tf

        if id(self.variable) not in copies:
            copy = tf.Variable(self.value, dtype=self.variable.dtype, shape=self.variable.shape)
            copies[id(self.variable)] = (self.variable, copy)
        return copies[id(self.variable)][1]


def load_custom_layer(
    custom_layer: CustomLayer, arrays: Mapping[str, Any], variables: Mapping[int, Any]
) -> LoadedLayer:
    """Run the layer's `load_own_variables` on a stand-in; return the values that it assigns.

    Raises CheckpointIncompatible: the layer's code raises, or changes something that is not a variable.
    """
    import numpy as np
    import tensorflow as tf

    keras, layer = sys.modules["keras"], custom_layer.layer
    copies: dict[int, tuple[Any, Any]] = {}
    with tf.device("CPU:0"), keras.StatelessScope() as scope:
        stand_in = object.__new__(type(layer))
        vars(stand_in).update(_stand_in_for(custom_layer.attributes, copies))
        try:
            stand_in.load_own_variables(dict(arrays))
        except Exception as error:
            raise CheckpointIncompatible(
                f"{layer.name} cannot load {custom_layer.group}: {first_line(error)}"
            ) from error
        values = {position: scope.get_current_value(variable) for position, variable in variables.items()}
    _require_unchanged(custom_layer, vars(stand_in), copies)
    assigned = {position: np.asarray(value) for position, value in values.items() if value is not None}
    return LoadedLayer(assigned, [(variable, copy.numpy()) for variable, copy in copies.values()])


def _require_unchanged(custom_layer: CustomLayer, after: Mapping[str, Any], copies: dict[int, tuple[Any, Any]]) -> None:
    before = custom_layer.attributes
    names = sorted(before.keys() | after.keys())  # Keras sets some flags, which are missing before, to False
    changed = [name for name in names if not _is_same(before.get(name, False), after.get(name, False), copies)]
    if changed:
        raise CheckpointIncompatible(
            f"The layer {custom_layer.layer.name} loads {changed[0]}, which is not a variable; create it with "
            "add_weight(trainable=False)."
        )


def _deep_copy(value: Any) -> Any:
    """Copy everything that can be changed in place: variables, lists, mappings and arrays."""
    import numpy as np
    import tensorflow as tf

    if isinstance(value, tf.Variable):
        return _VariableState(value, value.numpy())
    if isinstance(value, list):
        return [_deep_copy(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _deep_copy(item) for name, item in value.items()}
    return value.copy() if isinstance(value, np.ndarray) else value


def _stand_in_for(before: Any, copies: dict[int, tuple[Any, Any]]) -> Any:
    """Return the copy of an attribute that the stand-in gets."""
    import numpy as np

    if isinstance(before, _VariableState):
        return before.copy(copies)
    if isinstance(before, list):
        return [_stand_in_for(item, copies) for item in before]
    if isinstance(before, dict):
        return {name: _stand_in_for(item, copies) for name, item in before.items()}
    return before.copy() if isinstance(before, np.ndarray) else before


def _is_same(before: Any, after: Any, copies: dict[int, tuple[Any, Any]]) -> bool:
    if isinstance(before, _VariableState):
        return after is before.copy(copies)
    if isinstance(before, list):
        return (
            isinstance(after, list)
            and len(after) == len(before)
            and all(_is_same(*pair, copies) for pair in zip(before, after, strict=True))
        )
    if isinstance(before, dict):
        return (
            isinstance(after, Mapping)
            and after.keys() == before.keys()
            and all(_is_same(item, after[name], copies) for name, item in before.items())
        )
    return before is after or (type(before) is type(after) and _bytes(before) == _bytes(after))


def _bytes(value: Any) -> tuple[Any, ...]:
    import numpy as np

    array = np.asarray(value)
    return array.dtype, array.shape, array.tobytes()
