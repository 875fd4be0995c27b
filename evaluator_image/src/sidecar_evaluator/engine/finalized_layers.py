"""Layers that compute with what they once made of their weights, such as Normalization with its mean.

Keras has them make it anew (`finalize_state`) when it loads weights itself, and a compiled step holds
it as a constant. `kerases` asks this after each assignment, so that a score is never computed with
what another checkpoint left behind.
"""

from collections.abc import Sequence
from typing import Any

from sidecar_evaluator.checkpoints.model_variables import variables_to_restore


class FinalizedLayers:
    """The layers of a model that finalize what is in their weights; most models have none.

    `base` is the class of all layers, which in tf_keras has a `finalize_state` that does nothing. A layer
    that is not built yet counts, since it may get weights.
    """

    def __init__(self, layers: Sequence[Any], base: type[Any]) -> None:
        nothing = getattr(base, "finalize_state", None)
        self._layers = [
            layer
            for layer in layers
            if getattr(type(layer), "finalize_state", nothing) is not nothing
            and (variables_to_restore(layer) or not layer.built)
        ]
        self._finalized: list[bytes] | None = None

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._layers)

    def finalize(self) -> bool:
        """Let them take over their weights; return whether those differ from the last time."""
        values = [weight.numpy().tobytes() for layer in self._layers for weight in variables_to_restore(layer)]
        if values == self._finalized:
            return False
        for layer in self._layers:
            layer.finalize_state()
        self._finalized = values
        return True
