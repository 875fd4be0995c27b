"""Finds out whether the order of a model's weights tells which weight is which.

tf_keras puts the trainable weights of a layer of layers, or of a list of layers, before all others of it: freezing one
of the layers inside moves its weights. A list such as `model.get_weights()` is then ambiguous if weights of one
shape change places, because the training may have frozen other layers than the entry point. Keras 3 keeps the order
of its weights. A format asks before it accepts a list; this module must not change the model.
"""

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Any

from sidecar_evaluator.checkpoints.model_code import code_of_model
from sidecar_evaluator.checkpoints.model_variables import is_tf_keras
from sidecar_evaluator.errors import CheckpointIncompatible

_log = logging.getLogger(__name__)

_KERAS = ("keras", "tf_keras")  # KerasHub and its like included
_MAX_BLOCKS = 10  # of which each combination of frozen ones is compared


@dataclass(frozen=True)
class _Block:
    """The weights that one layer has itself, and how deep it is nested in a layer of layers."""

    trainable: tuple[Any, ...]
    fixed: tuple[Any, ...]
    depth: int

    @property
    def weights(self) -> tuple[Any, ...]:
        return (*self.trainable, *self.fixed)


def require_known_order(model: Any) -> None:
    """Check that a list of all weights tells which one is which.

    Raises CheckpointIncompatible: weights of one shape may have changed places.
    """
    if pair := exchangeable_weights(model):
        raise CheckpointIncompatible(
            f"The checkpoint has its weights in a list, which does not tell {pair[0]} and {pair[1]} apart: they have "
            "the same shape, and tf_keras orders the weights of nested layers by which of them are trainable. Save "
            "them by name: {weight.name: weight.numpy() for weight in model.weights}."
        )
    say_what_only_the_order_tells(model._flatten_layers())


@code_of_model()
def say_what_only_the_order_tells(layers: Iterable[Any]) -> None:
    """Log two weights of one shape that a layer of the user's creates itself: their order depends on the layer's code.

    Keras matches them by it as well when it loads weights, and no file says which is which.
    """
    pairs = filter(None, map(_own_pair_of_one_shape, layers))
    for layer, first, second in islice(pairs, 1):
        _log.info(
            "The weights %s and %s of the layer %s have the same shape; only their order tells them apart, "
            "trainable ones first, as in Keras: the training must create them with the same `trainable`.",
            first,
            second,
            layer,
        )


def _own_pair_of_one_shape(layer: Any) -> tuple[str, str, str] | None:
    if type(layer).__module__.startswith(_KERAS):
        return None
    trainable, fixed = "_trainable_variables", "_non_trainable_variables"
    if is_tf_keras(layer):
        trainable, fixed = "_trainable_weights", "_non_trainable_weights"
    weights = [weight for weight in (*getattr(layer, trainable), *getattr(layer, fixed)) if hasattr(weight, "assign")]
    for first, second in combinations(weights, 2):
        if tuple(first.shape) == tuple(second.shape):
            return str(layer.name), str(first.name), str(second.name)
    return None


def exchangeable_weights(model: Any) -> tuple[str, str] | None:
    """Return two weights of one shape that change places if other layers are frozen, None if there are none."""
    for unit in _units(model) if is_tf_keras(model) else ():
        blocks = [block for block in _blocks(unit, 0, set()) if block.weights]
        pair = _pair_of_one_shape(blocks)
        if pair and not _shapes_tell_the_order(unit, blocks):
            return pair
    return None


def _units(model: Any) -> Iterator[Any]:
    """Yield the layers and lists of layers that follow each other in the weights, whatever is trainable."""
    for tracked in model._self_tracked_trackables:
        if _is_model(tracked):
            yield from _units(tracked)
        else:
            yield tracked


def _blocks(owner: Any, depth: int, visited: set[int]) -> Iterator[_Block]:
    """Yield the weights of a layer and of the layers in it, in the order of tf_keras while all are trainable."""
    if id(owner) in visited:
        return
    visited.add(id(owner))
    if _is_frozen_as_a_whole(owner):
        yield _Block(tuple(owner.weights), (), depth)
        return
    is_layer = hasattr(owner, "_trainable_weights")  # else a list or dictionary of layers, which nobody freezes
    inner = [nested for child in _children(owner) for nested in _blocks(child, depth + is_layer, visited)]
    block = _Block(*_own_weights(owner), depth)
    yield from (block, *inner) if is_layer and not _is_model(owner) else (*inner, block)


def _own_weights(owner: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    if hasattr(owner, "_trainable_weights"):
        return tuple(owner._trainable_weights), tuple(owner._non_trainable_weights)
    variables = getattr(owner, "_self_extra_variables", ())
    return tuple(v for v in variables if v.trainable), tuple(v for v in variables if not v.trainable)


def _is_model(owner: Any) -> bool:
    return isinstance(owner, sys.modules["tf_keras"].Model)


def _children(owner: Any) -> Sequence[Any]:
    tracked = getattr(owner, "_self_tracked_trackables", None) or getattr(owner, "_values", None) or ()
    return [child for child in tracked if hasattr(child, "weights")]


def _is_frozen_as_a_whole(owner: Any) -> bool:
    """Tell whether the layers inside are private to a layer of tf_keras, and all their weights trainable."""
    attention = sys.modules["tf_keras"].layers.MultiHeadAttention
    return type(owner) is attention and not any(block._non_trainable_weights for block in owner._flatten_layers())


def _pair_of_one_shape(blocks: Sequence[_Block]) -> tuple[str, str] | None:
    for first, second in combinations(blocks, 2):
        if first.trainable or second.trainable:
            names = {tuple(weight.shape): str(weight.name) for weight in first.weights}
            for weight in second.weights:
                if tuple(weight.shape) in names:
                    return names[tuple(weight.shape)], str(weight.name)
    return None


def _shapes_tell_the_order(unit: Any, blocks: Sequence[_Block]) -> bool:
    """Tell whether each other order of the weights has its shapes in another order; not asked of deeper nesting."""
    if len(blocks) > _MAX_BLOCKS or max(block.depth for block in blocks) > 1:
        return False
    order = unit.weights
    identities, shapes = list(map(id, order)), _shapes(order)
    permutations = (permuted for permuted in _orders(blocks) if list(map(id, permuted)) != identities)
    return all(_shapes(permuted) != shapes for permuted in permutations)


def _orders(blocks: Sequence[_Block]) -> Iterator[list[Any]]:
    """Yield the order of the weights for each choice of frozen layers."""
    for frozen in product((False, True), repeat=len(blocks)):
        choice = list(zip(blocks, frozen, strict=True))
        first = [weight for block, is_frozen in choice if not is_frozen for weight in block.trainable]
        yield first + [
            weight for block, is_frozen in choice for weight in (block.weights if is_frozen else block.fixed)
        ]


def _shapes(weights: Sequence[Any]) -> list[tuple[int | None, ...]]:
    return [tuple(weight.shape) for weight in weights]
