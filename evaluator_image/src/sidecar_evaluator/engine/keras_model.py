"""`KerasModel`: hides the differences between Keras 3 and tf_keras, and does what `model.evaluate` does around steps.

The rest of the engine uses a `KerasModel` instead of a model. The Keras that the model belongs to is already
imported; this module must not import the other one, and it does not run steps.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.checkpoints.model_variables import is_tf_keras, variables_to_restore
from sidecar_evaluator.engine.finalized_layers import FinalizedLayers
from sidecar_evaluator.errors import ConfigurationError

_BATCH_HOOKS = ("on_test_batch_begin", "on_test_batch_end")
_ONE_DEVICE = ("_DefaultDistributionStrategy", "OneDeviceStrategy")
_LOOP_METHODS = ("evaluate", "make_test_function")
_SCORE_METHODS = ("test_step", "compute_metrics", "compute_loss")

Logs = dict[str, Any]


class KerasModel:
    """A compiled model of Keras 3 or tf_keras."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.is_tf_keras = is_tf_keras(model)
        self.keras: Any = sys.modules["tf_keras" if self.is_tf_keras else "keras"]
        self._finalized_layers = FinalizedLayers(layers_of(model), self.keras.layers.Layer)

    @property
    def strategy(self) -> Any:
        """The tf.distribute strategy under which the model was built; None in Keras 3 with another backend."""
        return getattr(self.model, "distribute_strategy", None)

    @property
    def is_mirrored(self) -> bool:
        """Whether the model was built in the scope of a MirroredStrategy."""
        return any(base.__name__ == "MirroredStrategy" for base in type(self.strategy).__mro__)

    def why_model_evaluate(self) -> str:
        """Return why the model must be scored by `model.evaluate`; "" if the compiled loop gives the same scores."""
        overridden = [name for name in _LOOP_METHODS if self._overrides(name)]
        if overridden:
            return f"the model overrides {overridden[0]}"
        if not self.is_tf_keras and self.keras.backend.backend() != "tensorflow":
            return f"the Keras backend is {self.keras.backend.backend()}"
        if self._finalized_layers:
            return "the model has layers that compute with constants derived from their weights"
        import tensorflow as tf

        if self.model.run_eagerly or tf.config.functions_run_eagerly():
            return "the model runs eagerly"
        if not self.is_mirrored and type(self.strategy).__name__ not in _ONE_DEVICE:
            return f"the model is distributed by {type(self.strategy).__name__}"
        return ""

    def _overrides(self, name: str) -> bool:
        method = getattr(type(self.model), name, None)
        return method is not getattr(self.keras.Model, name) or name in vars(self.model)

    def has_batch_hooks(self, callback: Any) -> bool:
        """Return whether a callback overrides `on_test_batch_begin` or `on_test_batch_end`."""
        base = self.keras.callbacks.Callback
        hooks = ((getattr(callback, name, None), getattr(base, name)) for name in _BATCH_HOOKS)
        return any(getattr(hook, "__func__", None) is not inherited for hook, inherited in hooks)

    @property
    def has_scores(self) -> bool:
        """Whether the model has a loss or metrics, compiled ones or its own.

        In Keras 3, losses that layers add are visible only after the model was called.
        """
        has_own_scores = any(self._overrides(name) for name in _SCORE_METHODS)
        return bool(has_own_scores or self.model.loss or _has_metrics(self.model) or self.model.losses)

    def step(self, *, inline: bool = False) -> Callable[[Any], Any]:
        """Return the function that scores one batch, converted by AutoGraph exactly where Keras converts it.

        The caller wraps it in a tf.function, or traces it `inline` in a tf.function with `autograph=False`.
        """
        import tensorflow as tf

        def step(data: Any) -> Any:
            returned = self.model.test_step(data)
            if self.is_tf_keras:
                self.model._test_counter.assign_add(1)
            return returned

        if self.is_tf_keras and not inline:
            return step
        convert = tf.autograph.to_graph if self.is_tf_keras else tf.autograph.experimental.do_not_convert
        converted: Callable[[Any], Any] = convert(step)
        return converted

    def callback_list(self, callbacks: Sequence[Any], steps: int | None) -> Any:
        """Return the CallbackList that `evaluate` creates, which sets the model and the parameters of callbacks."""
        history = {"add_history": True} if self.is_tf_keras else {}
        return self.keras.callbacks.CallbackList(
            list(callbacks), add_progbar=False, model=self.model, verbose=0, epochs=1, steps=steps, **history
        )

    def metric_names(self) -> set[str]:
        """Return the names of the metrics' results; a metric whose result is a dict has several.

        The results are traced, not computed: before the first batch, computing them may fail.
        """
        import tensorflow as tf

        with tf.init_scope():
            results = tf.function(self.model.get_metrics_result, autograph=self.is_tf_keras)
            return set(results.get_concrete_function().structured_outputs)

    def weights(self) -> list[Any]:
        """Return the `tf.Variable`s of the weights."""
        return self._tf_variables(variables_to_restore(self.model))

    def metric_variables(self) -> list[Any]:
        """Return the `tf.Variable`s of all metrics."""
        return self._tf_variables(variable for metric in self.model.metrics for variable in metric.variables)

    def layer_variables(self) -> list[Any]:
        """Return the `tf.Variable`s of the model's layers, including weights and excluding those of the optimizer."""
        if self.strategy is None:
            return []
        # TrackableView finds neither the states of tf_keras's recurrent layers nor the random states of Keras 3.
        roots = [self.model, *_flat([getattr(layer, "states", None) for layer in layers_of(self.model)])]
        roots += [] if self.is_tf_keras else self.model.variables
        of_optimizer = self._reachable(_flat(getattr(self.model, "optimizer", None)))
        return [variable for key, variable in self._reachable(roots).items() if key not in of_optimizer]

    def _reachable(self, roots: Iterable[Any]) -> dict[int, Any]:
        """Return, by id, the `tf.Variable`s among the objects that TensorFlow tracks below the roots."""
        import tensorflow as tf

        trackables = (root for root in roots if hasattr(root, "_trackable_children"))
        tracked = list(chain.from_iterable(tf.train.TrackableView(root).descendants() for root in trackables))
        if not self.is_tf_keras:
            keras_variable = self.keras.Variable
            tracked = [item.value if isinstance(item, keras_variable) else item for item in tracked]
        return {id(item): item for item in tracked if isinstance(item, tf.Variable)}

    def per_replica(self, variable: Any) -> Sequence[Any]:
        """Return the components of a variable, one per replica of the strategy."""
        components: Sequence[Any] = self.strategy.experimental_local_results(variable)
        return components

    def _tf_variables(self, variables: Iterable[Any]) -> list[Any]:
        return list(variables) if self.is_tf_keras else [variable.value for variable in variables]

    def logs(self, last: Mapping[str, Any] | None) -> Logs:
        """Return the logs of `evaluate`: the metrics' results, or the last step's outputs if they differ from these."""
        results = self.model.get_metrics_result() if last is None else last
        return _python_values(results) if self.is_tf_keras else _flat_floats(results)

    def reset(self) -> None:
        """Reset the metrics, as `evaluate` does when it begins."""
        self.model.reset_metrics()
        if self.is_tf_keras:
            self.model._test_counter.assign(0)

    def assign(self, weights: Weights, step: int | None) -> None:
        """Assign weights and iterations to the model."""
        assignments = zip(variables_to_restore(self.model), weights.values, strict=True)
        for variable, value in (*assignments, *weights.tf_variables):
            variable.assign(value)
        if self._finalized_layers and self._finalized_layers.finalize():
            self.model.test_function = None  # contains the derived values as constants
        for optimizer in _flat(getattr(self.model, "optimizer", None)):  # tf_keras accepts a list
            if step is not None and hasattr(optimizer, "iterations"):
                optimizer.iterations.assign(step)


def _flat(structure: Any) -> list[Any]:
    import tensorflow as tf

    flat: list[Any] = tf.nest.flatten(structure)
    return flat


def layers_of(model: Any) -> list[Any]:
    """Return the model's layers, including nested ones."""
    if hasattr(model, "_flatten_layers"):
        return list(model._flatten_layers(include_self=False))
    return list(getattr(model, "layers", ()))


def require_compiled(model: Any) -> None:
    """Check that this is a compiled Keras model.

    Raises ConfigurationError: it is not a model, or not compiled.
    """
    if not callable(getattr(model, "evaluate", None)):
        raise ConfigurationError(
            f"The entry point's model is a {type(model).__name__}; return a Keras model in Evaluation(model, data)."
        )
    if not getattr(model, "compiled", getattr(model, "_is_compiled", False)):
        raise no_metrics_error()


def no_metrics_error() -> ConfigurationError:
    """Return the error for a model without a loss and metrics."""
    return ConfigurationError(
        "The model has no metrics; call model.compile(loss=..., metrics=[...]) before the evaluation starts."
    )


def _has_metrics(model: Any) -> bool:
    """Return whether metrics were compiled, or the model has metrics of its own."""
    compiled = getattr(model, "compiled_metrics", None) or getattr(model, "_compile_metrics", None)
    user_metrics = getattr(compiled, "_user_metrics", None) or getattr(compiled, "_user_weighted_metrics", None)
    built_in = [getattr(model, name, None) for name in ("_loss_tracker", "_compile_metrics")]
    built_in += getattr(getattr(model, "compiled_loss", None), "metrics", ())
    return _contains_metric(user_metrics) or any(
        all(metric is not tracker for tracker in built_in) for metric in model.metrics
    )


def _contains_metric(metrics: Any) -> bool:
    """Return whether a structure contains a metric; tf_keras fills it with None."""
    if isinstance(metrics, Mapping):
        return any(_contains_metric(item) for item in metrics.values())
    if isinstance(metrics, (list, tuple)):
        return any(_contains_metric(item) for item in metrics)
    return metrics is not None


def flatten(logs: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return names and values of the scores in logs; a metric whose value is a dict or an array has several."""
    scores: list[tuple[str, float]] = []
    for name, value in logs.items():
        scores += flatten(value) if isinstance(value, Mapping) else _scores_in_array(str(name), value)
    return scores


def _scores_in_array(name: str, value: Any) -> list[tuple[str, float]]:
    """Append the index to the name of each number in an array; a single number keeps the name."""
    import numpy as np

    array = np.asarray(value)
    if array.size == 1:
        return [(name, float(array.item()))]
    return [("_".join([name, *map(str, index)]), float(number)) for index, number in np.ndenumerate(array)]


def _flat_floats(logs: Mapping[str, Any]) -> Logs:
    """Convert logs as Keras 3 does: flat, sorted by name, scalars as floats."""
    flat: Logs = {}
    for name, value in sorted(logs.items()):
        if isinstance(value, Mapping):
            flat.update(_flat_floats(value))
        else:
            array = value.numpy() if hasattr(value, "numpy") else value
            flat[name] = float(array) if getattr(array, "ndim", 0) == 0 else array
    return flat


def _python_values(logs: Any) -> Any:
    """Convert logs as tf_keras does: the structure is kept, scalars become Python numbers."""
    if isinstance(logs, Mapping):
        return {name: _python_values(value) for name, value in logs.items()}
    array = logs.numpy() if hasattr(logs, "numpy") else logs
    return array.item() if getattr(array, "ndim", None) == 0 else array
