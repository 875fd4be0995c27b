"""What differs between Keras 3 and tf_keras, and what `model.evaluate` does around its steps.

Everything else in the engine asks a `KerasModel` instead of a model. The Keras that a model belongs
to is already imported when there is a model; nothing here imports another one. It runs no step.
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
_REPLACEABLE = ("evaluate", "make_test_function")
_SCORING = ("test_step", "compute_metrics", "compute_loss")

Logs = dict[str, Any]


class KerasModel:
    """A compiled model of either Keras."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.is_tf_keras = is_tf_keras(model)
        self.keras: Any = sys.modules["tf_keras" if self.is_tf_keras else "keras"]
        self._finalized = FinalizedLayers(layers_of(model), self.keras.layers.Layer)

    @property
    def strategy(self) -> Any:
        """The tf.distribute strategy that the model was built under; Keras 3 has one only with TensorFlow."""
        return getattr(self.model, "distribute_strategy", None)

    @property
    def is_mirrored(self) -> bool:
        """Tell whether the model was built in the scope of a MirroredStrategy."""
        return any(base.__name__ == "MirroredStrategy" for base in type(self.strategy).__mro__)

    def why_evaluate(self) -> str:
        """Return why only `model.evaluate` gives this model's scores; "" where its steps alone will do."""
        replaced = [name for name in _REPLACEABLE if self._replaces(name)]
        if replaced:
            return f"the model has its own {replaced[0]}"
        if not self.is_tf_keras and self.keras.backend.backend() != "tensorflow":
            return f"Keras computes with {self.keras.backend.backend()}"
        if self._finalized:
            return "the model has layers that compute with constants made of their weights"
        import tensorflow as tf

        if self.model.run_eagerly or tf.config.functions_run_eagerly():
            return "the model runs eagerly"
        if not self.is_mirrored and type(self.strategy).__name__ not in _ONE_DEVICE:
            return f"the model is distributed by {type(self.strategy).__name__}"
        return ""

    def _replaces(self, name: str) -> bool:
        own = getattr(type(self.model), name, None)
        return own is not getattr(self.keras.Model, name) or name in vars(self.model)

    def wants_every_batch(self, callback: Any) -> bool:
        """Tell whether a callback does anything before or after a batch."""
        base = self.keras.callbacks.Callback
        hooks = ((getattr(callback, name, None), getattr(base, name)) for name in _BATCH_HOOKS)
        return any(getattr(own, "__func__", None) is not inherited for own, inherited in hooks)

    @property
    def has_scores(self) -> bool:
        """Tell whether a loss or metrics were compiled, or the model brings its own.

        Losses that layers add to a model of Keras 3 are seen only once it was called.
        """
        own = any(self._replaces(name) for name in _SCORING)
        return bool(own or self.model.loss or _has_metrics(self.model) or self.model.losses)

    def step(self, *, inline: bool = False) -> Callable[[Any], Any]:
        """Return the function that scores one batch, converted by AutoGraph exactly where Keras does that.

        It is for a tf.function of its own, or to be traced `inline` in one that AutoGraph leaves alone.
        """
        import tensorflow as tf

        def step(data: Any) -> Any:
            returned = self.model.test_step(data)
            if self.is_tf_keras:
                self.model._test_counter.assign_add(1)
            return returned

        if self.is_tf_keras and not inline:
            return step
        converting = tf.autograph.to_graph if self.is_tf_keras else tf.autograph.experimental.do_not_convert
        converted: Callable[[Any], Any] = converting(step)
        return converted

    def callback_list(self, callbacks: Sequence[Any], steps: int | None) -> Any:
        """Put callbacks together as `evaluate` does, which tells them the model and the number of steps."""
        history = {"add_history": True} if self.is_tf_keras else {}
        return self.keras.callbacks.CallbackList(
            list(callbacks), add_progbar=False, model=self.model, verbose=0, epochs=1, steps=steps, **history
        )

    def metric_names(self) -> set[str]:
        """Return the names of the metrics' results; a result that is a dict has several.

        They are traced and not computed, since before the first batch that may fail.
        """
        import tensorflow as tf

        with tf.init_scope():
            results = tf.function(self.model.get_metrics_result, autograph=self.is_tf_keras)
            return set(results.get_concrete_function().structured_outputs)

    def weights(self) -> list[Any]:
        """Return TensorFlow's own variables of the weights."""
        return self._variables(variables_to_restore(self.model))

    def metric_variables(self) -> list[Any]:
        """Return TensorFlow's own variables of all metrics."""
        return self._variables(variable for metric in self.model.metrics for variable in metric.variables)

    def kept_by_layers(self) -> list[Any]:
        """Return TensorFlow's variables that the model's layers hold, with the weights but not the optimizer's."""
        if self.strategy is None:
            return []
        # neither tf_keras's states of recurrent layers nor Keras 3's random states are reachable from the model
        more = _flat([getattr(layer, "states", None) for layer in layers_of(self.model)])
        more += [] if self.is_tf_keras else self.model.variables
        found = self._reachable([self.model, *more])
        others = self._reachable(_flat(getattr(self.model, "optimizer", None)))
        return [variable for key, variable in found.items() if key not in others]

    def _reachable(self, roots: Iterable[Any]) -> dict[int, Any]:
        """Return TensorFlow's own variables among these objects, their attributes and so on."""
        import tensorflow as tf

        trackable = (root for root in roots if hasattr(root, "_trackable_children"))
        found = list(chain.from_iterable(tf.train.TrackableView(root).descendants() for root in trackable))
        if not self.is_tf_keras:
            found = [each.value if isinstance(each, self.keras.Variable) else each for each in found]
        return {id(each): each for each in found if isinstance(each, tf.Variable)}

    def parts(self, variable: Any) -> Sequence[Any]:
        """Return what a variable is on each device of the strategy."""
        found: Sequence[Any] = self.strategy.experimental_local_results(variable)
        return found

    def _variables(self, found: Iterable[Any]) -> list[Any]:
        return list(found) if self.is_tf_keras else [variable.value for variable in found]

    def logs(self, last: Mapping[str, Any] | None) -> Logs:
        """Return what `evaluate` returns: the metrics' results, or what the last step returned if that is else."""
        found = self.model.get_metrics_result() if last is None else last
        return _python_values(found) if self.is_tf_keras else _flat_floats(found)

    def reset(self) -> None:
        """Begin an evaluation as `evaluate` does."""
        self.model.reset_metrics()
        if self.is_tf_keras:
            self.model._test_counter.assign(0)

    def assign(self, weights: Weights, step: int | None) -> None:
        """Put weights and iterations into the model."""
        own = zip(variables_to_restore(self.model), weights.values, strict=True)
        for variable, value in (*own, *weights.others):
            variable.assign(value)
        if self._finalized and self._finalized.finalize():
            self.model.test_function = None  # holds what was finalized as constants
        for optimizer in _flat(getattr(self.model, "optimizer", None)):  # tf_keras takes a list
            if step is not None and hasattr(optimizer, "iterations"):
                optimizer.iterations.assign(step)


def _flat(structure: Any) -> list[Any]:
    import tensorflow as tf

    found: list[Any] = tf.nest.flatten(structure)
    return found


def layers_of(model: Any) -> list[Any]:
    """Return the model's layers and those inside them."""
    if hasattr(model, "_flatten_layers"):
        return list(model._flatten_layers(include_self=False))
    return list(getattr(model, "layers", ()))


def require_compiled(model: Any) -> None:
    """Check that this is a model which can be evaluated.

    Raises ConfigurationError: it is no model, or not compiled.
    """
    if not callable(getattr(model, "evaluate", None)):
        raise ConfigurationError(
            f"The entry point's model is a {type(model).__name__}; return a Keras model in Evaluation(model, data)."
        )
    if not getattr(model, "compiled", getattr(model, "_is_compiled", False)):
        raise without_scores()


def without_scores() -> ConfigurationError:
    """Return the error of a model that has nothing to be scored by."""
    return ConfigurationError(
        "The model has no metrics; call model.compile(loss=..., metrics=[...]) before the evaluation starts."
    )


def _has_metrics(model: Any) -> bool:
    """Tell whether metrics were compiled, or the model has metrics of its own."""
    compiled = getattr(model, "compiled_metrics", None) or getattr(model, "_compile_metrics", None)
    given = getattr(compiled, "_user_metrics", None) or getattr(compiled, "_user_weighted_metrics", None)
    always = [getattr(model, name, None) for name in ("_loss_tracker", "_compile_metrics")]
    always += getattr(getattr(model, "compiled_loss", None), "metrics", ())
    return _any_given(given) or any(all(metric is not other for other in always) for metric in model.metrics)


def _any_given(metrics: Any) -> bool:
    """Tell whether there is a metric in a structure; tf_keras puts None where none was given."""
    if isinstance(metrics, Mapping):
        return any(_any_given(each) for each in metrics.values())
    if isinstance(metrics, (list, tuple)):
        return any(_any_given(each) for each in metrics)
    return metrics is not None


def flatten(logs: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the scores in logs by name; a value that is a dict or an array is a metric with several results."""
    found: list[tuple[str, float]] = []
    for name, value in logs.items():
        found += flatten(value) if isinstance(value, Mapping) else _numbered(str(name), value)
    return found


def _numbered(name: str, value: Any) -> list[tuple[str, float]]:
    """Name the numbers in an array by where they are in it; one alone keeps the name."""
    import numpy as np

    array = np.asarray(value)
    if array.size == 1:
        return [(name, float(array.item()))]
    return [("_".join([name, *map(str, index)]), float(each)) for index, each in np.ndenumerate(array)]


def _flat_floats(logs: Mapping[str, Any]) -> Logs:
    """Keras 3's way: one level, sorted by name, floats where it can be."""
    found: Logs = {}
    for name, value in sorted(logs.items()):
        if isinstance(value, Mapping):
            found.update(_flat_floats(value))
        else:
            array = value.numpy() if hasattr(value, "numpy") else value
            found[name] = float(array) if getattr(array, "ndim", 0) == 0 else array
    return found


def _python_values(logs: Any) -> Any:
    """tf_keras's way: the structure stays, scalars become Python's own."""
    if isinstance(logs, Mapping):
        return {name: _python_values(value) for name, value in logs.items()}
    array = logs.numpy() if hasattr(logs, "numpy") else logs
    return array.item() if getattr(array, "ndim", None) == 0 else array
