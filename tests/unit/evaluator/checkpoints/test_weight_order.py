"""Which orders of weights depend on what is trainable; proven by the orders of the real Kerases."""

import logging
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.weight_order import exchangeable_weights, say_what_only_the_order_tells
from unit.evaluator.support import architectures
from unit.evaluator.support.models import ModelFactory

Build = Callable[[ModelFactory], Any]


def in_a_layer(*kinds: str) -> Build:
    """A model with one layer of layers: `8` is Dense(8), `n` BatchNormalization."""

    def build(factory: ModelFactory) -> Any:
        layers = factory.keras.layers

        class Block(layers.Layer):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.parts = [layers.BatchNormalization() if kind == "n" else layers.Dense(int(kind)) for kind in kinds]

            def call(self, inputs: Any) -> Any:
                for part in self.parts:
                    inputs = part(inputs)
                return inputs

        return factory.keras.Sequential([layers.Input((4,)), Block(), layers.Dense(2)])

    build.__name__ = f"layer_of_{'_'.join(kinds)}"
    return build


def in_a_list(*sizes: int) -> Build:
    def build(factory: ModelFactory) -> Any:
        layers = factory.keras.layers

        class Stack(factory.keras.Model):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.blocks = [layers.Dense(size) for size in sizes]

            def call(self, inputs: Any) -> Any:
                for block in self.blocks:
                    inputs = block(inputs)
                return inputs

        model = Stack()
        model(np.zeros((1, 4), "float32"))
        return model

    build.__name__ = f"list_of_{'_'.join(map(str, sizes))}"
    return build


def attention(factory: ModelFactory) -> Any:
    layers = factory.keras.layers
    inputs = layers.Input((3, 4))
    return factory.keras.Model(inputs, layers.MultiHeadAttention(2, 4)(inputs, inputs))


AMBIGUOUS = [in_a_layer("4", "4"), in_a_layer("n", "n"), in_a_list(4, 4), in_a_list(8, 4, 8, 4)]
UNAMBIGUOUS = [
    architectures.sequential,
    architectures.functional,
    architectures.wrapper,
    attention,
    in_a_layer("8", "5"),
    in_a_layer("4", "n", "4"),
    in_a_layer("8", "n", "5"),
    in_a_list(8, 5, 8),
    in_a_list(8),
]


def name_of(build: Build) -> str:
    return build.__name__


@pytest.mark.parametrize("build", AMBIGUOUS, ids=name_of)
def test_weights_of_one_shape_that_change_places_are_named(build: Build, factory: ModelFactory) -> None:
    model = build(factory)
    assert has_two_orders_of_the_same_shapes(model) is not factory.is_keras3
    pair = exchangeable_weights(model)
    assert (pair is None) is factory.is_keras3
    assert pair is None or len(set(pair)) == 2


@pytest.mark.parametrize("build", UNAMBIGUOUS, ids=name_of)
def test_an_order_that_shapes_or_nesting_tell_is_accepted(build: Build, factory: ModelFactory) -> None:
    model = build(factory)
    assert exchangeable_weights(model) is None
    assert not has_two_orders_of_the_same_shapes(model)


def has_two_orders_of_the_same_shapes(model: Any) -> bool:
    """Freeze each combination of the layers that users reach, as Keras does it."""
    layers = [layer for layer in model._flatten_layers() if layer is not model and layer.weights]
    attentions = [list(layer._flatten_layers()) for layer in layers if "attention" in layer.name]
    private = {id(inner) for _, *inside in attentions for inner in inside}
    layers = [layer for layer in layers if id(layer) not in private][:6]
    names, shapes, has_another = *_order_of(model), False
    for choice in product((True, False), repeat=len(layers)):
        for layer, is_trainable in zip(layers, choice, strict=True):
            layer.trainable = is_trainable
        other_names, other_shapes = _order_of(model)
        has_another |= other_names != names and other_shapes == shapes
    model.trainable = True
    return has_another


def _order_of(model: Any) -> tuple[list[int], list[tuple[int, ...]]]:
    return [id(weight) for weight in model.weights], [tuple(weight.shape) for weight in model.weights]


@pytest.mark.parametrize(("shapes", "is_said"), [([(4, 4), (4, 4)], True), ([(4, 4), (4,)], False)])
def test_weights_that_a_layer_of_the_user_creates_are_said_where_only_their_order_tells_them_apart(
    shapes: list[tuple[int, ...]], is_said: bool, factory: ModelFactory, caplog: pytest.LogCaptureFixture
) -> None:
    class Projection(factory.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def build(self, _shape: Any) -> None:
            self.query = self.add_weight(name="query", shape=shapes[0], trainable=False)
            self.key = self.add_weight(name="key", shape=shapes[1])

        def call(self, inputs: Any) -> Any:
            return inputs

    layers = factory.keras.layers
    model = factory.keras.Sequential([layers.Input((4,)), layers.BatchNormalization(), Projection(), layers.Dense(4)])
    with caplog.at_level(logging.INFO):
        say_what_only_the_order_tells(model._flatten_layers())
    assert ("of the layer projection" in caplog.text) is is_said
    assert len(caplog.records) == is_said
