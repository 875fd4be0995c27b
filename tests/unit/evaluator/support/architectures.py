"""All kinds of models whose variables must be matched with those of a checkpoint, for Keras 3 and tf_keras."""

from typing import Any

import numpy as np

from unit.evaluator.support.models import Kit


def sequential(kit: Kit) -> Any:
    """BatchNormalization brings weights that are not trained."""
    return kit.model(depth=3)


def functional(kit: Kit) -> Any:
    """One layer is used twice, a model is nested in another, and layers of one kind share shapes."""
    layers = kit.keras.layers
    inner_input = layers.Input((8,))
    inner = kit.keras.Model(inner_input, layers.Dense(8)(layers.Dense(8)(inner_input)), name="inner")
    shared = layers.Dense(8, activation="relu")
    inputs = layers.Input((4,))
    hidden = shared(layers.Dense(8)(inputs))
    outputs = layers.Dense(2)(layers.Dropout(0.5)(inner(shared(hidden))))
    return kit.compiled(kit.keras.Model(inputs, outputs))


def subclassed(kit: Kit) -> Any:
    """Layers in attributes, lists, tuples and dicts; a weight of the model's own; one layer under two names."""
    layers = kit.keras.layers

    class Subclassed(kit.keras.Model):  # type: ignore[name-defined, misc]
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

    model = kit.compiled(Subclassed())
    model(np.zeros((1, 4), "float32"))
    return model


def wrapper(kit: Kit) -> Any:
    """A model with an attribute called `model`."""

    class Wrapper(kit.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = kit.model(compiled=False)

        def call(self, inputs: Any) -> Any:
            return self.model(inputs)

    model = kit.compiled(Wrapper())
    model(np.zeros((1, 4), "float32"))
    return model


def own_layer(kit: Kit) -> Any:
    """A layer that overrides `save_own_variables` and `load_own_variables`."""

    class Transposed(kit.keras.layers.Layer):  # type: ignore[name-defined, misc]
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

    layers = kit.keras.layers
    model = kit.keras.Sequential([layers.Input((4,)), layers.Dense(8), Transposed(), Transposed(), layers.Dense(2)])
    return kit.compiled(model)


def half(kit: Kit, dtype: str = "float16") -> Any:
    """Every variable has two bytes."""
    layers = kit.keras.layers
    model = kit.keras.Sequential([layers.Input((4,)), layers.Dense(8, dtype=dtype), layers.Dense(2, dtype=dtype)])
    return kit.compiled(model)


def bfloat(kit: Kit) -> Any:
    """The same in bfloat16."""
    return half(kit, "bfloat16")


def mixed(kit: Kit) -> Any:
    """Calculates in float16, keeps its variables in float32; the counter is the inner optimizer's."""
    layers = kit.keras.layers
    model = kit.keras.Sequential(
        [layers.Input((4,)), layers.Dense(8, dtype="mixed_float16"), layers.Dense(2, dtype="mixed_float16")]
    )
    return kit.compiled(model, kit.keras.mixed_precision.LossScaleOptimizer(kit.keras.optimizers.Adam()))


ALL = (sequential, functional, subclassed, wrapper, own_layer, half, bfloat, mixed)


def randomized(model: Any, seed: int = 1) -> Any:
    """Give every variable values of its own, and the optimizer its slots, as training does."""
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(0.1, 1.0, value.shape).astype(value.dtype) for value in model.get_weights()])
    model.optimizer.build(model.trainable_variables)
    return model
