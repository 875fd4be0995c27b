"""Layers with a `finalize_state`, which compute with constants derived from their weights, such as Normalization.

Keras calls `finalize_state` when it loads weights itself, and a compiled step contains the derived values as
constants. `engine.keras_model` calls `finalize` after each assignment of weights, so that no score is computed
with values derived from another checkpoint.
"""

from collections.abc import Sequence
from typing import Any

from sidecar_evaluator.checkpoints.model_variables import tf_variables, variables_to_restore


class FinalizedLayers:
    """The layers of a model that override `finalize_state` and have weights; most models have none.

    `base` is the class of all layers, which in tf_keras has a `finalize_state` that does nothing. A layer
    that is not built yet is included, since it may get weights.
    """

    def __init__(self, layers: Sequence[Any], base: type[Any]) -> None:
        inherited = getattr(base, "finalize_state", None)
        self._layers = [
            layer
            for layer in layers
            if getattr(type(layer), "finalize_state", inherited) is not inherited
            and (_variables_of(layer) or not layer.built)
        ]
        self._last_values: list[bytes] | None = None

    def __bool__(self) -> bool:
        """Return whether there are such layers."""
        return bool(self._layers)

    def finalize(self) -> bool:
        """Call `finalize_state` if weights have changed since the last call; return whether they have."""
        values = [variable.numpy().tobytes() for layer in self._layers for variable in _variables_of(layer)]
        if values == self._last_values:
            return False
        for layer in self._layers:
            layer.finalize_state()
        self._last_values = values
        return True


def _variables_of(layer: Any) -> list[Any]:
    """Return the weights, and what a lookup of Keras 3 keeps in a `tf.Variable`."""
    return [*variables_to_restore(layer), *tf_variables(layer).values()]
