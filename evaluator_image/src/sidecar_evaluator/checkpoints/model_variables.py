"""Which variables of a model a checkpoint restores: one answer for every format and for the engine.

Formats read a value for each of them, and `kerases` assigns the values in the same order. The two
Kerases differ in what they count among the weights. The model is only looked at.
"""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def is_tf_keras(model: Any) -> bool:
    """Tell the two Kerases apart without importing either."""
    return any(base.__module__.startswith("tf_keras.") for base in type(model).__mro__)


def restored_variables(model: Any) -> list[Any]:
    """Return the model's weights in their order, without those of metrics and of lookup tables, as tf_keras has them.

    Metrics start anew with each evaluation, and may appear with the first. A vocabulary has no value to
    assign: it is the entry point's.
    """
    weights: list[Any] = model.weights
    if not is_tf_keras(model):
        return weights
    of_metrics = {id(each) for metric in _tracked_metrics(model) for each in metric.weights}
    return [each for each in weights if hasattr(each, "assign") and id(each) not in of_metrics]


def _tracked_metrics(model: Any) -> Iterator[Any]:
    """Yield the metrics whose variables tf_keras counts among the weights: those that it tracks as it does layers."""
    metric = _keras_of(model).metrics.Metric
    pending, seen = [model], set()
    while pending:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, metric):
            yield each
        for name in ("_self_tracked_trackables", "_values"):  # of a layer, and of a list or dictionary in one
            pending.extend(getattr(each, name, None) or ())


def other_variables(model: Any) -> dict[str, Any]:
    """Return, by their places, TensorFlow's own variables in a model of Keras 3, which are none of its weights.

    Only TensorFlow's checkpoints hold them. Random states are left to the entry point, as in the other formats.
    """
    import tensorflow as tf

    if is_tf_keras(model):
        return {}
    return {place: each for place, each in _parts_of(model) if isinstance(each, tf.Variable)}


def lookup_tables(model: Any) -> dict[str, Any]:
    """Return, by their places, the tables of a model that can change, which TensorFlow's checkpoints hold as well."""
    import tensorflow as tf

    kinds = (tf.lookup.experimental.MutableHashTable, tf.lookup.experimental.DenseHashTable)
    return {place: each for place, each in _parts_of(model) if isinstance(each, kinds)}


def metrics_of(model: Any) -> Iterator[Any]:
    """Yield all metrics that a model and its layers hold, and those inside them."""
    return _held_by(model, _keras_of(model).metrics.Metric)


def optimizers_of(model: Any) -> Iterator[Any]:
    """Yield all optimizers that a model and its layers hold, and those inside them."""
    return _held_by(model, _keras_of(model).optimizers.Optimizer)


def _keras_of(model: Any) -> Any:
    return sys.modules["tf_keras" if is_tf_keras(model) else "keras"]


def _parts_of(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield what TensorFlow saves of a model and where it is, but for optimizers, metrics and random generators."""
    import tensorflow as tf

    keras, view = _keras_of(model), tf.train.TrackableView(model)
    passed = (keras.optimizers.Optimizer, keras.metrics.Metric, tf.random.Generator)
    queue, seen = deque([("", model)]), {id(model): model}
    while queue:
        place, each = queue.popleft()
        yield place, each
        for name, child in view.children(each).items():
            if id(child) not in seen and not isinstance(child, passed):
                seen[id(child)] = child
                queue.append((f"{place}/{name}".strip("/"), child))


def _held_by(model: Any, kind: type[Any]) -> Iterator[Any]:
    owners, seen = list(model._flatten_layers()), set()
    while owners:
        owner = owners.pop()
        for each in _leaves([*vars(owner).values(), getattr(owner, "metrics", ())]):
            if isinstance(each, kind) and id(each) not in seen:
                seen.add(id(each))
                owners.append(each)
                yield each


def _leaves(containers: Iterable[Any]) -> Iterator[Any]:
    """Yield what is in lists, dictionaries and the like, however deep."""
    pending, seen = list(containers), set()
    while pending:
        each = pending.pop()
        if not isinstance(each, (list, tuple, set, Mapping)):
            yield each
        elif id(each) not in seen:
            seen.add(id(each))
            pending.extend(each.values() if isinstance(each, Mapping) else each)  # TensorFlow's tuples do not add up
