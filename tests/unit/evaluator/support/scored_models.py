"""All kinds of models and data that the engine must score as `model.evaluate` does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unit.evaluator.support.models import BATCH, ModelFactory, arrays, dataset
from unit.evaluator.support.scored_metrics import (
    auc,
    dict_metric,
    kept_in_a_table,
    kept_in_python,
    no_result_of_nothing,
    vector_metrics,
)

UNEVEN = 5 * BATCH + 3


@dataclass(frozen=True)
class Case:
    """A model and its data; `compiled_loop` says whether the engine's own loop must have scored them.

    `keras3` is false for what Keras 3 cannot evaluate, `dense` for batches that are not of dense tensors, and
    `in_variables` where steps change something that is not a variable.
    """

    model: Callable[[ModelFactory], Any]
    data: Callable[[ModelFactory], Any]
    steps: int | None = None
    compiled_loop: bool = True
    keras3: bool = True
    dense: bool = True
    in_variables: bool = True


def plain(factory: ModelFactory) -> Any:
    return factory.model()


def in_a_row(factory: ModelFactory) -> Any:
    return factory.compiled(factory.keras.Sequential([factory.keras.layers.Dense(8), factory.keras.layers.Dense(2)]))


def uneven(factory: ModelFactory) -> Any:
    return dataset(3, UNEVEN)


def numpy_arrays(factory: ModelFactory) -> Any:
    return arrays(3, UNEVEN)


def weighted(factory: ModelFactory) -> Any:
    x, y = arrays(3, UNEVEN)
    return x, y, np.linspace(0.0, 2.0, UNEVEN)


def weighted_metrics(factory: ModelFactory) -> Any:
    model = factory.model(compiled=False)
    loss = factory.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss=loss, metrics=["accuracy"], weighted_metrics=["accuracy"], jit_compile=False)
    return model


def two_heads(factory: ModelFactory) -> Any:
    layers = factory.keras.layers
    left, right = layers.Input((4,), name="left"), layers.Input((2,), name="right")
    joined = layers.Concatenate()([left, right])
    outputs = [layers.Dense(1, name="size")(joined), layers.Dense(3, name="kind")(joined)]
    model = factory.keras.Model([left, right], outputs)
    losses = ["mse", factory.keras.losses.SparseCategoricalCrossentropy(from_logits=True)]
    model.compile("sgd", loss=losses, loss_weights=[1.0, 0.3], metrics=[["mae"], ["accuracy"]], jit_compile=False)
    return model


def two_heads_data(factory: ModelFactory) -> Any:
    random = np.random.default_rng(1)
    left, right = random.normal(size=(UNEVEN, 4)), random.normal(size=(UNEVEN, 2)).astype("float32")
    return [left, right], [random.normal(size=UNEVEN), random.integers(0, 3, UNEVEN)]


def two_heads_dataset(factory: ModelFactory) -> Any:
    import tensorflow as tf

    (left, right), (size, kind) = two_heads_data(factory)
    return tf.data.Dataset.from_tensor_slices(((left, right), (size, kind))).batch(BATCH)


def named_inputs(factory: ModelFactory) -> Any:
    (left, right), targets = two_heads_data(factory)
    return {"left": left, "right": right}, targets


def by_added_loss(factory: ModelFactory) -> Any:
    """A model that needs no targets: its loss is its own."""
    layers = factory.keras.layers

    class Penalty(layers.Layer):  # type: ignore[name-defined, misc]
        def call(self, inputs: Any) -> Any:
            import tensorflow as tf

            self.add_loss(tf.reduce_mean(tf.square(inputs)))
            return inputs

    model = factory.keras.Sequential([layers.Input((4,)), layers.Dense(3), Penalty()])
    model.compile("sgd", jit_compile=False)
    return model


def without_loss(factory: ModelFactory) -> Any:
    model = factory.model(compiled=False)
    model.compile(metrics=["sparse_categorical_crossentropy"], jit_compile=False)
    return model


def inputs_alone(factory: ModelFactory) -> Any:
    return arrays(3, UNEVEN)[0]


def _overriding(factory: ModelFactory, **methods: Any) -> Any:
    inputs = factory.keras.layers.Input((4,))
    kind = type("Own", (factory.keras.Model,), methods)
    return factory.compiled(kind(inputs, factory.keras.layers.Dense(2)(inputs)))


def last_batch_step(factory: ModelFactory) -> Any:
    """A test_step whose scores are those of the last batch alone."""

    def test_step(self: Any, data: Any) -> Any:
        import tensorflow as tf

        x = data[0]
        predicted = self(x, training=False)
        return {"rows": tf.shape(x)[0], "last": tf.reduce_mean(predicted), "nested": {"b": tf.reduce_max(predicted)}}

    return _overriding(factory, test_step=test_step, metrics=property(lambda self: []))


def own_metric_step(factory: ModelFactory) -> Any:
    """A test_step with a metric of its own, not the compiled ones."""
    spread = factory.keras.metrics.Mean(name="spread")

    def test_step(self: Any, data: Any) -> Any:
        import tensorflow as tf

        spread.update_state(tf.math.reduce_std(self(data[0], training=False)))
        return {"spread": spread.result()}

    return _overriding(factory, test_step=test_step, metrics=property(lambda self: [spread]))


def only_a_metric_named_loss(factory: ModelFactory) -> Any:
    """The usual way of a training_step of one's own: the model tracks its loss, and is compiled with an optimizer."""
    tracker = factory.keras.metrics.Mean(name="loss")

    def test_step(self: Any, data: Any) -> Any:
        import tensorflow as tf

        tracker.update_state(tf.reduce_mean(tf.square(self(data[0], training=False))))
        return {"loss": tracker.result()}

    model = _overriding(factory, test_step=test_step, metrics=property(lambda self: [tracker]))
    model.compile("adam")
    return model


def no_metric_at_all(factory: ModelFactory) -> Any:
    model = last_batch_step(factory)
    model.compile("adam")
    return model


def counting_batches(factory: ModelFactory) -> Any:
    """A test_step that asks tf_keras which batch this is."""

    def test_step(self: Any, data: Any) -> Any:
        import tensorflow as tf

        return {**factory.keras.Model.test_step(self, data), "batch": tf.cast(self._test_counter, tf.float32)}

    return _overriding(factory, test_step=test_step)


def several_optimizers(factory: ModelFactory) -> Any:
    return factory.compiled(
        factory.model(compiled=False), optimizer=[factory.keras.optimizers.Adam(), factory.keras.optimizers.SGD()]
    )


def classes(factory: ModelFactory) -> Any:
    import tensorflow as tf

    x, y = arrays(3, UNEVEN)
    targets = (np.eye(3, dtype="float32")[np.arange(UNEVEN) % 3], y[:, None].astype("float32"))
    return tf.data.Dataset.from_tensor_slices((x, targets)).batch(BATCH)


def own_evaluate(factory: ModelFactory) -> Any:
    def evaluate(self: Any, *arguments: Any, **named: Any) -> Any:
        logs = factory.keras.Model.evaluate(self, *arguments, **named)
        return {**logs, "extra": 4.5}

    return _overriding(factory, evaluate=evaluate)


def eager(factory: ModelFactory) -> Any:
    model = factory.model(compiled=False)
    model.compile("adam", loss=factory.keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    return model


def random_layers(factory: ModelFactory) -> Any:
    layers = factory.keras.layers
    body = [layers.Dense(8), layers.Dropout(0.5), layers.BatchNormalization(), layers.Dense(2)]
    return factory.compiled(factory.keras.Sequential([layers.Input((4,)), *body]))


def of_unknown_length(factory: ModelFactory) -> Any:
    return dataset(3, UNEVEN).filter(lambda x, y: True)


def filtered_rows(factory: ModelFactory) -> Any:
    """Batches of different sizes in the middle."""
    import tensorflow as tf

    return dataset(3, UNEVEN).map(lambda x, y: (x[: 1 + tf.reduce_sum(y)], y[: 1 + tf.reduce_sum(y)]))


def ragged(factory: ModelFactory) -> Any:
    import tensorflow as tf

    lengths = np.arange(40) % 5 + 1
    rows = tf.RaggedTensor.from_row_lengths(np.arange(lengths.sum()) % 7, lengths)
    return tf.data.Dataset.from_tensor_slices((rows, lengths.astype("float32"))).batch(BATCH)


def over_ragged(factory: ModelFactory) -> Any:
    layers = factory.keras.layers

    class Bag(factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.table, self.out = layers.Embedding(7, 3), layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            import tensorflow as tf

            dense = inputs.to_tensor() if isinstance(inputs, tf.RaggedTensor) else inputs
            return self.out(tf.reduce_mean(self.table(dense), axis=1))

    model = Bag()
    model.compile("adam", loss="mse", metrics=["mae"], jit_compile=False)
    return model


def batches_of(factory: ModelFactory) -> Any:
    base = factory.keras.utils.PyDataset if factory.is_keras3 else factory.keras.utils.Sequence

    class Batches(base):  # type: ignore[misc, valid-type]
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            x, y = arrays(index)
            return x[:BATCH], y[:BATCH]

    return Batches()


def long_doubles(factory: ModelFactory) -> Any:
    x, y = arrays(3, UNEVEN)
    return x.astype(np.longdouble), y


def several_weights(factory: ModelFactory) -> Any:
    x, y = two_heads_data(factory)
    weights = np.linspace(0.5, 1.5, UNEVEN).astype("float32")
    return x, y, [weights, weights]


CASES = {
    "dataset": Case(plain, uneven),
    "dataset of unknown length": Case(plain, of_unknown_length),
    "batches of any size": Case(plain, filtered_rows),
    "endless dataset": Case(plain, lambda factory: dataset(3, UNEVEN).repeat(), steps=9),
    "steps": Case(plain, uneven, steps=2),
    "arrays": Case(plain, numpy_arrays),
    "arrays of full batches": Case(plain, lambda factory: arrays(3, 96)),
    "arrays and steps": Case(plain, numpy_arrays, steps=4),
    "tensors": Case(plain, lambda factory: tuple(_tensors(arrays(3, UNEVEN)))),
    "float64": Case(plain, lambda factory: (arrays(3)[0].astype("float64"), arrays(3)[1])),
    "weighted arrays": Case(weighted_metrics, weighted),
    "weighted dataset": Case(weighted_metrics, lambda factory: _batched(weighted(factory))),
    "two heads": Case(two_heads, two_heads_data),
    "two heads from a dataset": Case(two_heads, two_heads_dataset),
    "named inputs": Case(two_heads, named_inputs),
    "weights of several outputs": Case(two_heads, several_weights, compiled_loop=False),
    "a loss that layers add": Case(by_added_loss, inputs_alone),
    "metrics without a loss": Case(without_loss, uneven, keras3=False),
    "a metric with several results": Case(dict_metric, uneven),
    "scores of the last batch": Case(last_batch_step, uneven),
    "a test_step with its own metric": Case(own_metric_step, uneven),
    "normalisation and dropout": Case(random_layers, uneven),
    "area under the curve": Case(auc, uneven),
    "metrics with a result for each class": Case(vector_metrics, classes),
    "a metric that keeps predictions in Python": Case(kept_in_python, uneven, in_variables=False),
    "a metric that keeps a table": Case(kept_in_a_table, uneven, in_variables=False),
    "a metric without a result of nothing": Case(no_result_of_nothing, uneven),
    "a test_step with a metric named loss": Case(only_a_metric_named_loss, uneven),
    "a test_step without metrics": Case(no_metric_at_all, uneven),
    "a test_step that counts": Case(counting_batches, uneven, keras3=False),
    "several optimizers": Case(several_optimizers, uneven, keras3=False),
    "None for weights": Case(plain, lambda factory: uneven(factory).map(lambda x, y: (x, y, None))),
    "numbers that TensorFlow has not": Case(plain, long_doubles, compiled_loop=False, keras3=False),
    "ragged batches": Case(over_ragged, ragged, dense=False),
    "unbuilt": Case(lambda factory: factory.subclassed(), uneven),
    "unbuilt, one layer after the other": Case(in_a_row, uneven),
    "unbuilt, for model.evaluate": Case(in_a_row, batches_of, compiled_loop=False),
    "unbuilt, arrays": Case(lambda factory: factory.subclassed(), numpy_arrays),
    "its own evaluate": Case(own_evaluate, uneven, compiled_loop=False),
    "eager": Case(eager, uneven, compiled_loop=False),
    "a Sequence": Case(plain, batches_of, compiled_loop=False),
}


def _tensors(parts: Any) -> Any:
    import tensorflow as tf

    return (tf.constant(part) for part in parts)


def _batched(parts: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(parts).batch(BATCH)
