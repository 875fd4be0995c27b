"""Models with metrics of every kind that the engine must score as `model.evaluate` does."""

from typing import Any

import numpy as np

from unit.evaluator.support.models import ModelFactory


def two_in_one(factory: ModelFactory) -> Any:
    """A metric whose result is a dict."""

    class TwoInOne(factory.keras.metrics.Mean):  # type: ignore[name-defined, misc]
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().update_state(y_pred[..., 0])

        def result(self) -> Any:
            mean = super().result()
            return {"error_1": mean, "error_2": mean * 2.0}

    return TwoInOne(name="two")


def dict_metric(factory: ModelFactory) -> Any:
    return factory.compiled(factory.model(compiled=False), metrics=["accuracy", two_in_one(factory)])


def auc(factory: ModelFactory) -> Any:
    model = factory.keras.Sequential(
        [factory.keras.layers.Input((4,)), factory.keras.layers.Dense(1, activation="sigmoid")]
    )
    metrics = [factory.keras.metrics.AUC(name="auc"), factory.keras.metrics.Precision(name="precision")]
    model.compile("adam", loss="binary_crossentropy", metrics=metrics, jit_compile=False)
    return model


def vector_metrics(factory: ModelFactory) -> Any:
    """Metrics with a result for each class, and with a vector of one."""
    layers, metrics = factory.keras.layers, factory.keras.metrics
    inputs = layers.Input((4,))
    outputs = [layers.Dense(3, activation="softmax")(inputs), layers.Dense(1, activation="sigmoid")(inputs)]
    model = factory.keras.Model(inputs, outputs)
    losses = ["categorical_crossentropy", "binary_crossentropy"]
    per_output = [
        [metrics.F1Score(name="f1")],
        [metrics.F1Score(threshold=0.5, name="one"), metrics.Precision([0.3, 0.6])],
    ]
    model.compile("adam", loss=losses, metrics=per_output, jit_compile=False)
    return model


def kept_in_python(factory: ModelFactory) -> Any:
    """A metric that needs all predictions at once, and keeps them in a list; it notes in which order they came."""

    class Spread(factory.keras.metrics.Metric):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__(name="spread")
            self.predictions: list[Any] = []

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            import tensorflow as tf

            return tf.numpy_function(self._keep, [y_pred], tf.int32)

        def result(self) -> Any:
            import tensorflow as tf

            return tf.ensure_shape(tf.numpy_function(self._value, [], tf.float32), [])

        def _keep(self, predictions: Any) -> Any:
            self.predictions.append(predictions)
            return np.int32(len(self.predictions))

        def _value(self) -> Any:
            if not self.predictions:
                return np.float32(0)
            means = np.array([value.mean() for value in self.predictions])
            return np.float32(means @ np.arange(len(means)) + np.concatenate(self.predictions).std())

        def reset_state(self) -> None:
            self.predictions.clear()

    return factory.compiled(factory.model(compiled=False), metrics=["accuracy", Spread()])


def kept_in_a_table(factory: ModelFactory) -> Any:
    class Distinct(factory.keras.metrics.Metric):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            import tensorflow as tf

            super().__init__(name="distinct")
            self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            import tensorflow as tf

            rounded = tf.cast(tf.round(y_pred[:, 0] * 20.0), tf.int64)
            self.table.insert(rounded, rounded)

        def result(self) -> Any:
            import tensorflow as tf

            return tf.cast(self.table.size(), tf.float32)

        def reset_state(self) -> None:
            self.table.remove(self.table.export()[0])

    return factory.compiled(factory.model(compiled=False), metrics=["accuracy", Distinct()])


def no_result_of_nothing(factory: ModelFactory) -> Any:
    class Positive(factory.keras.metrics.Mean):  # type: ignore[name-defined, misc]
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().update_state(y_pred)

        def result(self) -> Any:
            import tensorflow as tf

            tf.debugging.assert_positive(tf.convert_to_tensor(self.count))
            return super().result()

    return factory.compiled(factory.model(compiled=False), metrics=["accuracy", Positive(name="mean")])
