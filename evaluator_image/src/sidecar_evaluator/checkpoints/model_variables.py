"""Determines which variables of a model are restored from a checkpoint, for every format and for the engine.

The formats read a value for each of these variables, and `engine.keras_model` assigns the values in the same
order. Keras 3 and tf_keras differ in which variables they count among the weights. This module must not
change the model: it is called while the model is being evaluated.
"""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sidecar_evaluator.checkpoints.model_code import code_of_model


def is_tf_keras(model: Any) -> bool:
    """Return whether it is a model of tf_keras, without importing Keras 3 or tf_keras."""
    return any(base.__module__.startswith("tf_keras.") for base in type(model).__mro__)


@code_of_model()
def variables_to_restore(model: Any) -> list[Any]:
    """Return the model's weights in order, except those of metrics and lookup tables, which tf_keras includes.

    Metrics are reset before each evaluation, and some are created by the first one. A vocabulary is not a
    variable and has no value to assign: it stays that of the entry point's model. How many texts it was learned
    from is not used any more, and only TensorFlow checkpoints contain it.
    """
    weights: list[Any] = model.weights
    if not is_tf_keras(model):
        return weights
    excluded = {id(weight) for metric in _tracked_metrics(model) for weight in metric.weights}
    excluded |= {id(layer.num_documents) for layer in model._flatten_layers() if hasattr(layer, "num_documents")}
    return [weight for weight in weights if hasattr(weight, "assign") and id(weight) not in excluded]


def _tracked_metrics(model: Any) -> Iterator[Any]:
    """Yield the metrics whose variables tf_keras counts among the weights, because it tracks them like layers."""
    metric_class = _keras_of(model).metrics.Metric
    pending, visited = [model], set()
    while pending:
        trackable = pending.pop()
        if id(trackable) in visited:
            continue
        visited.add(id(trackable))
        if isinstance(trackable, metric_class):
            yield trackable
        for name in ("_self_tracked_trackables", "_values"):  # of a layer; of a list or dictionary in a layer
            pending.extend(getattr(trackable, name, None) or ())


@code_of_model()
def tf_variables(model: Any) -> dict[str, Any]:
    """Return, by path, the `tf.Variable`s of a Keras 3 model, which are not among its weights.

    Only TensorFlow checkpoints contain them. Random states are not restored, as in the other formats.
    """
    import tensorflow as tf

    if is_tf_keras(model):
        return {}
    return {path: tracked for path, tracked in _tracked_objects(model) if isinstance(tracked, tf.Variable)}


@code_of_model()
def lookup_tables(model: Any) -> dict[str, Any]:
    """Return, by path, the mutable lookup tables of a model, which TensorFlow checkpoints contain as well."""
    import tensorflow as tf

    mutable_tables = (tf.lookup.experimental.MutableHashTable, tf.lookup.experimental.DenseHashTable)
    return {path: tracked for path, tracked in _tracked_objects(model) if isinstance(tracked, mutable_tables)}


def layers_named(model: Any, names: Sequence[str]) -> list[Any]:
    """Return the layers, also within others, whose class is one of Keras's with these names, or derives from it."""
    classes = tuple(getattr(_keras_of(model).layers, name) for name in names)
    return [layer for layer in model._flatten_layers() if isinstance(layer, classes)]


def metrics_of(model: Any) -> Iterator[Any]:
    """Yield all metrics in attributes of a model and its layers, and metrics within these."""
    return _instances_in(model, _keras_of(model).metrics.Metric)


def optimizers_of(model: Any) -> Iterator[Any]:
    """Yield all optimizers in attributes of a model and its layers, and optimizers within these."""
    return _instances_in(model, _keras_of(model).optimizers.Optimizer)


def _keras_of(model: Any) -> Any:
    return sys.modules["tf_keras" if is_tf_keras(model) else "keras"]


def _tracked_objects(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield path and object of all that TensorFlow saves of a model, except optimizers, metrics and generators."""
    import tensorflow as tf

    keras, view = _keras_of(model), tf.train.TrackableView(model)
    excluded = (keras.optimizers.Optimizer, keras.metrics.Metric, tf.random.Generator)
    queue = deque([("", model)])
    visited = {id(model): model}  # holds references, so that no id is reused during the walk
    while queue:
        path, tracked = queue.popleft()
        yield path, tracked
        for name, child in view.children(tracked).items():
            if id(child) not in visited and not isinstance(child, excluded):
                visited[id(child)] = child
                queue.append((f"{path}/{name}".strip("/"), child))


def _instances_in(model: Any, wanted_class: type[Any]) -> Iterator[Any]:
    owners, visited = list(model._flatten_layers()), set()
    while owners:
        owner = owners.pop()
        for value in _leaves([*vars(owner).values(), getattr(owner, "metrics", ())]):
            if isinstance(value, wanted_class) and id(value) not in visited:
                visited.add(id(value))
                owners.append(value)
                yield value


def _leaves(containers: Iterable[Any]) -> Iterator[Any]:
    """Yield the values in nested lists, tuples, sets and mappings."""
    pending, visited = list(containers), set()
    while pending:
        value = pending.pop()
        if not isinstance(value, (list, tuple, set, Mapping)):
            yield value
        elif id(value) not in visited:
            visited.add(id(value))
            # `extend` and not `+`: TensorFlow's tuple wrappers do not support concatenation.
            pending.extend(value.values() if isinstance(value, Mapping) else value)
