"""Layers of Keras 3 with code of their own to load their variables, which runs on a stand-in for the layer.

Such code may change whatever its layer holds, and does so while another checkpoint is evaluated. So it
is given an object of the layer's class with copies of what it could change. What becomes of weights and
of TensorFlow's own variables is returned; where anything else would change, the checkpoint is refused.
Used by the formats of Keras.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar_evaluator.errors import CheckpointIncompatible, first_line


@dataclass(frozen=True)
class OwnWay:
    """A layer, the group that it loads from, and what it held before it was given any checkpoint."""

    group: str
    layer: Any
    held: Mapping[str, Any]

    @classmethod
    def of(cls, group: str, layer: Any) -> "OwnWay":
        """Take the layer as it is now."""
        return cls(group, layer, _held(vars(layer)))


@dataclass(frozen=True)
class Loaded:
    """The values of weights by position, and TensorFlow's own variables of the layer with theirs."""

    values: Mapping[int, Any]
    others: list[tuple[Any, Any]]


@dataclass(frozen=True)
class _Held:
    """A variable of TensorFlow's own and its value; `copies` has what stands in for it."""

    variable: Any
    value: Any

    def copy(self, copies: dict[int, tuple[Any, Any]]) -> Any:
        import tensorflow as tf

        if id(self.variable) not in copies:
            copy = tf.Variable(self.value, dtype=self.variable.dtype, shape=self.variable.shape)
            copies[id(self.variable)] = (self.variable, copy)
        return copies[id(self.variable)][1]


def load_own_way(own_way: OwnWay, arrays: Mapping[str, Any], variables: Mapping[int, Any]) -> Loaded:
    """Let a layer load from its arrays; return what it would assign, and assign nothing.

    Raises CheckpointIncompatible: the layer's code raises, or changes what is no variable.
    """
    import numpy as np
    import tensorflow as tf

    keras, layer = sys.modules["keras"], own_way.layer
    copies: dict[int, tuple[Any, Any]] = {}
    with tf.device("CPU:0"), keras.StatelessScope() as scope:
        stand_in = object.__new__(type(layer))
        vars(stand_in).update(_copied(own_way.held, copies))
        try:
            stand_in.load_own_variables(dict(arrays))
        except Exception as error:
            raise CheckpointIncompatible(f"{layer.name} cannot load {own_way.group}: {first_line(error)}") from error
        values = {position: scope.get_current_value(variable) for position, variable in variables.items()}
    _require_unchanged(own_way, vars(stand_in), copies)
    found = {position: np.asarray(value) for position, value in values.items() if value is not None}
    return Loaded(found, [(variable, copy.numpy()) for variable, copy in copies.values()])


def _require_unchanged(own_way: OwnWay, after: Mapping[str, Any], copies: dict[int, tuple[Any, Any]]) -> None:
    before = own_way.held
    names = sorted(before.keys() | after.keys())  # Keras's own layers have marks that come to be there as False
    changed = [name for name in names if not _is_same(before.get(name, False), after.get(name, False), copies)]
    if changed:
        raise CheckpointIncompatible(
            f"The layer {own_way.layer.name} loads {changed[0]}, which is no variable; make it one with "
            "add_weight(trainable=False)."
        )


def _held(value: Any) -> Any:
    """Return a copy of all that could be changed in place."""
    import numpy as np
    import tensorflow as tf

    if isinstance(value, tf.Variable):
        return _Held(value, value.numpy())
    if isinstance(value, list):
        return [_held(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _held(each) for name, each in value.items()}
    return value.copy() if isinstance(value, np.ndarray) else value


def _copied(held: Any, copies: dict[int, tuple[Any, Any]]) -> Any:
    """Return what a layer is given for what it held."""
    import numpy as np

    if isinstance(held, _Held):
        return held.copy(copies)
    if isinstance(held, list):
        return [_copied(each, copies) for each in held]
    if isinstance(held, dict):
        return {name: _copied(each, copies) for name, each in held.items()}
    return held.copy() if isinstance(held, np.ndarray) else held


def _is_same(held: Any, after: Any, copies: dict[int, tuple[Any, Any]]) -> bool:
    if isinstance(held, _Held):
        return after is held.copy(copies)
    if isinstance(held, list):
        return (
            isinstance(after, list)
            and len(after) == len(held)
            and all(_is_same(*pair, copies) for pair in zip(held, after, strict=True))
        )
    if isinstance(held, dict):
        return (
            isinstance(after, Mapping)
            and after.keys() == held.keys()
            and all(_is_same(each, after[name], copies) for name, each in held.items())
        )
    return held is after or (type(held) is type(after) and _bytes(held) == _bytes(after))


def _bytes(value: Any) -> tuple[Any, ...]:
    import numpy as np

    array = np.asarray(value)
    return array.dtype, array.shape, array.tobytes()
