"""All kinds of models whose variables must be matched with those of a checkpoint, for Keras 3 and tf_keras."""

from typing import Any

import numpy as np

from unit.evaluator.support.models import ModelFactory


def sequential(factory: ModelFactory) -> Any:
    """BatchNormalization brings weights that are not trained."""
    return factory.model(depth=3)


def functional(factory: ModelFactory) -> Any:
    """One layer is used twice, a model is nested in another, and layers of one kind share shapes."""
    layers = factory.keras.layers
    inner_input = layers.Input((8,))
    inner = factory.keras.Model(inner_input, layers.Dense(8)(layers.Dense(8)(inner_input)), name="inner")
    shared = layers.Dense(8, activation="relu")
    inputs = layers.Input((4,))
    hidden = shared(layers.Dense(8)(inputs))
    outputs = layers.Dense(2)(layers.Dropout(0.5)(inner(shared(hidden))))
    return factory.compiled(factory.keras.Model(inputs, outputs))


def subclassed(factory: ModelFactory) -> Any:
    """Layers in attributes, lists, tuples and dicts; a weight of the model's own; one layer under two names."""
    layers = factory.keras.layers

    class Subclassed(factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = layers.Dense(8, activation="relu")
            self.blocks = [layers.Dense(8) for _ in range(3)]
            self.pair = (layers.Dense(8), layers.Dense(8))
            self.heads = {"main": layers.Dense(2)}
            self.again = self.first
            self.scale = self.add_weight(name="scale", shape=(2,), initializer="ones")

        def call(self, inputs: Any) -> Any:
            hidden = self.first(inputs)
            for block in (*self.blocks, *self.pair):
                hidden = block(hidden)
            return self.heads["main"](hidden) * self.scale

    model = factory.compiled(Subclassed())
    model(np.zeros((1, 4), "float32"))
    return model


def nested_layers(factory: ModelFactory) -> Any:
    """A layer that has two layers of the same shape."""

    class Block(factory.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__(name="block")
            self.parts = [factory.keras.layers.Dense(4, name=name) for name in ("first", "second")]

        def call(self, inputs: Any) -> Any:
            return self.parts[1](self.parts[0](inputs))

    layers = factory.keras.layers
    return factory.compiled(factory.keras.Sequential([layers.Input((4,)), Block(), layers.Dense(2, name="last")]))


def wrapper(factory: ModelFactory) -> Any:
    """A model with an attribute called `model`."""

    class Wrapper(factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = factory.model(compiled=False)

        def call(self, inputs: Any) -> Any:
            return self.model(inputs)

    model = factory.compiled(Wrapper())
    model(np.zeros((1, 4), "float32"))
    return model


def own_layer(factory: ModelFactory) -> Any:
    """A layer that overrides `save_own_variables` and `load_own_variables`."""

    class Transposed(factory.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def build(self, shape: Any) -> None:
            self.matrix = self.add_weight(name="matrix", shape=(8, 8))
            self.offset = self.add_weight(name="offset", shape=(8,))

        def call(self, inputs: Any) -> Any:
            return inputs @ self.matrix + self.offset

        def save_own_variables(self, store: Any) -> None:
            store["offset"] = np.asarray(self.offset)
            store["matrix"] = np.asarray(self.matrix).T.copy()

        def load_own_variables(self, store: Any) -> None:
            self.matrix.assign(np.asarray(store["matrix"]).T)
            self.offset.assign(np.asarray(store["offset"]))

    layers = factory.keras.layers
    model = factory.keras.Sequential([layers.Input((4,)), layers.Dense(8), Transposed(), Transposed(), layers.Dense(2)])
    return factory.compiled(model)


def half(factory: ModelFactory, dtype: str = "float16") -> Any:
    """Every variable has two bytes."""
    layers = factory.keras.layers
    model = factory.keras.Sequential([layers.Input((4,)), layers.Dense(8, dtype=dtype), layers.Dense(2, dtype=dtype)])
    return factory.compiled(model)


def bfloat(factory: ModelFactory) -> Any:
    """The same in bfloat16."""
    return half(factory, "bfloat16")


def mixed(factory: ModelFactory) -> Any:
    """Calculates in float16, keeps its variables in float32; the counter is the inner optimizer's."""
    layers = factory.keras.layers
    model = factory.keras.Sequential(
        [layers.Input((4,)), layers.Dense(8, dtype="mixed_float16"), layers.Dense(2, dtype="mixed_float16")]
    )
    return factory.compiled(model, factory.keras.mixed_precision.LossScaleOptimizer(factory.keras.optimizers.Adam()))


ALL = (sequential, functional, subclassed, wrapper, own_layer, half, bfloat, mixed)


def randomized(model: Any, seed: int = 1) -> Any:
    """Give every variable values of its own, and the optimizer its slots, as training does."""
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(0.1, 1.0, value.shape).astype(value.dtype) for value in model.get_weights()])
    model.optimizer.build(model.trainable_variables)
    return model
