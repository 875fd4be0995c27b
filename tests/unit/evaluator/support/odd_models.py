"""Models with more than layers and weights: several optimizers, metrics, vocabularies, `tf.Variable`s, tables."""

from typing import Any

import numpy as np

from unit.evaluator.support.models import ModelFactory, arrays


def _compiled(factory: ModelFactory, model: Any) -> Any:
    """Compile without metrics, which a `train_step` of one's own would have to update."""
    model.compile("adam", loss=factory.keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    return model


def two_optimizers(factory: ModelFactory) -> Any:
    """Each half is trained by an optimizer of its own, as in a GAN."""
    layers = factory.keras.layers

    class Halves(factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = factory.keras.Sequential([layers.Input((4,)), layers.Dense(4)])
            self.second = factory.keras.Sequential([layers.Input((4,)), layers.Dense(2)])
            self.opt_first = factory.keras.optimizers.Adam()
            self.more_optimizers = {"second": [factory.keras.optimizers.SGD(0.1, momentum=0.9)]}

        def call(self, inputs: Any) -> Any:
            return self.second(self.first(inputs))

        def train_step(self, data: Any) -> Any:
            import tensorflow as tf

            x, y = data
            for half, optimizer in ((self.first, self.opt_first), (self.second, self.more_optimizers["second"][0])):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(y, self(x), from_logits=True))
                variables = half.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            return {"loss": loss}

    return _compiled(factory, Halves())


def compiled_part(factory: ModelFactory) -> Any:
    """A part that was compiled to be trained before; see `trained`."""
    layers = factory.keras.layers
    part = factory.keras.Sequential([layers.Input((4,)), layers.Dense(4)])
    part.compile("adam", loss="mse", metrics=["mae"])
    return factory.compiled(factory.keras.Sequential([layers.Input((4,)), part, layers.Dense(2)]))


class _Tracked:
    """The steps of a model that keeps its loss in metrics of its own."""

    def train_step(self: Any, data: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self.loss_of(data)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"total": loss}

    def test_step(self: Any, data: Any) -> Any:
        return {metric.name: metric.result() for metric in self.updated(self.loss_of(data))}

    def loss_of(self: Any, data: Any) -> Any:
        import tensorflow as tf

        return tf.reduce_mean(tf.square(self(data[0]) - 1.0))


def metrics_as_attributes(factory: ModelFactory) -> Any:
    """Metrics in an attribute and in a list, before and between the layers."""

    class Attributes(_Tracked, factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.total = factory.keras.metrics.Mean(name="total")
            self.first = factory.keras.layers.Dense(4)
            self.trackers = []
            self.trackers.append(factory.keras.metrics.Mean(name="again"))
            self.second = factory.keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.second(self.first(inputs))

        @property
        def metrics(self) -> list[Any]:
            return [self.total, *self.trackers]

        def updated(self, loss: Any) -> list[Any]:
            for metric in self.metrics:
                metric.update_state(loss)
            return self.metrics

    return _compiled(factory, Attributes())


def metric_of_the_first_step(factory: ModelFactory) -> Any:
    """A metric that is there once the model is evaluated."""

    class Late(_Tracked, factory.keras.Model):  # type: ignore[name-defined, misc]
        late: Any = None

        def updated(self, loss: Any) -> list[Any]:
            if self.late is None:
                self.late = factory.keras.metrics.Mean(name="late")
            self.late.update_state(loss)
            return [self.late]

    inputs = factory.keras.layers.Input((4,))
    return _compiled(factory, Late(inputs, factory.keras.layers.Dense(2)(inputs)))


def vocabulary(factory: ModelFactory) -> Any:
    """A lookup that was adapted, as text models have."""
    layers = factory.keras.layers
    lookup = layers.IntegerLookup(max_tokens=6, output_mode="multi_hot")
    lookup.adapt(np.arange(-2, 3))
    inputs = layers.Input((4,), dtype="int64")
    return factory.compiled(factory.keras.Model(inputs, layers.Dense(2)(lookup(inputs))))


def discretized(factory: ModelFactory) -> Any:
    """In tf_keras it has a weight whose size is known once it was adapted."""
    layers = factory.keras.layers
    buckets = layers.Discretization(num_bins=4, output_mode="multi_hot")
    buckets.adapt(arrays()[0])
    inputs = layers.Input((4,))
    return factory.compiled(factory.keras.Model(inputs, layers.Dense(2)(buckets(inputs))))


def variables_of_tensorflow(factory: ModelFactory) -> Any:
    """In a layer, in a module within it, and of the model itself."""
    import tensorflow as tf

    layers = factory.keras.layers

    class Shift(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.values = tf.Variable(tf.zeros([4]))

    class Scaled(layers.Layer):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.scale = tf.Variable(tf.ones([4]))
            self.shift = Shift()

        def call(self, inputs: Any) -> Any:
            return inputs * self.scale + self.shift.values

    class Whole(factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.scaled = Scaled()
            self.head = layers.Dense(2)
            self.factor = tf.Variable([1.0, 1.0])

        def call(self, inputs: Any) -> Any:
            return self.head(self.scaled(inputs)) * self.factor

    return factory.compiled(Whole())


def overriding_load_own_variables(factory: ModelFactory) -> Any:
    """A layer that saves a weight and a `tf.Variable`, and loads what `loads` names, which is not a variable."""
    import tensorflow as tf

    class Own(factory.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.scale = tf.Variable(tf.ones([4]))
            self.shift = np.zeros(4, "float32")
            self.shifts = {"all": [np.zeros(4, "float32")]}
            self.loads = ""

        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(name="factor", shape=(4,), initializer="ones")

        def call(self, inputs: Any) -> Any:
            return inputs * self.factor * self.scale + self.shift + self.shifts["all"][0]

        def save_own_variables(self, store: Any) -> None:
            store["factor"] = np.asarray(self.factor)
            store["scale"] = self.scale.numpy()

        def load_own_variables(self, store: Any) -> None:
            self.factor.assign(store["factor"])
            self.scale.assign(np.asarray(store["scale"]))
            if self.loads == "shift":
                self.shift = np.array(store["scale"])
            elif self.loads == "shifts":
                self.shifts["all"][0][:] = store["scale"]

    layers = factory.keras.layers
    return factory.compiled(factory.keras.Sequential([layers.Input((4,)), Own(), layers.Dense(2)]))


def with_a_table(factory: ModelFactory) -> Any:
    """A layer that looks its factors up in a table, which can change."""
    import tensorflow as tf

    class Table(factory.keras.layers.Layer):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, 1.0)
            self.table.insert(["a", "b"], [1.0, 2.0])

        def call(self, inputs: Any) -> Any:
            return inputs * tf.ensure_shape(self.table.lookup(tf.constant(["a", "b", "a", "c"])), [4])

    layers = factory.keras.layers
    return factory.compiled(factory.keras.Sequential([layers.Input((4,)), Table(), layers.Dense(2)]))


def low_rank(factory: ModelFactory) -> Any:
    """Keras 3 saves such a layer's product and not its factors."""
    model = factory.model(frozen_statistics=False)
    if factory.is_keras3:
        model.layers[0].enable_lora(2)
    return factory.compiled(model)


ALL = (
    two_optimizers,
    compiled_part,
    metrics_as_attributes,
    metric_of_the_first_step,
    vocabulary,
    discretized,
    low_rank,
    with_a_table,
)


def trained(model: Any) -> Any:
    """Train the model, and before it what is compiled within it."""
    x, y = arrays(1)
    for part in model.layers:
        if getattr(part, "optimizer", None):
            part.fit(x, x, epochs=3, verbose=0)
    model.fit(x, y, epochs=3, verbose=0)
    return model
