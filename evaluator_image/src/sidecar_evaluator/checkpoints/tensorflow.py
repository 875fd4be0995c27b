"""TensorFlow's checkpoint format: `ckpt-7.index` and the data shards that its names count.

Read by the evaluation for models of either Keras: those saved by a CheckpointManager, and those
saved by tf_keras's `save_weights`. Variables are matched by walking the saved object graph beside
the model, because TensorFlow names a variable that two objects share by one path only. Only the
model's own variables are read, all of them before the first is assigned.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, Files, FileState
from sidecar_evaluator.checkpoints.variables import require_same
from sidecar_evaluator.errors import CheckpointError, CheckpointUnreadable, IterationsMissingError, first_line

_SHARD = re.compile(r"(?P<prefix>.+)\.data-(?P<index>\d{5})-of-(?P<count>\d{5})")
_ITERATION_NAMES = ("_iterations", "iter")  # Keras 3 and newer tf_keras; tf_keras's legacy optimizers
_INNER = "inner_optimizer"  # of a LossScaleOptimizer
_LAYER_LISTS = ("_operations", "_layers", "layer_with_weights")
_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


class TensorFlow:
    """Checkpoints of tf.train.Checkpoint."""

    name = "TensorFlow"

    def find(self, directory: Path, files: Files) -> Iterable[Checkpoint]:
        """Recognise checkpoints by their index or any of their shards."""
        shards = _shards(files)
        prefixes = {name.removesuffix(".index") for name in files if name.endswith(".index")} | shards.keys()
        for prefix in prefixes:
            index = files.get(f"{prefix}.index")
            parts = shards.get(prefix, {})
            states = ([index] if index else []) + [state for count in parts for state in parts[count].values()]
            missing = _missing(index, parts)
            yield Checkpoint(prefix, directory / prefix, self, tuple(states), missing)

    def inspect(self, checkpoint: Checkpoint) -> str:  # noqa: ARG002 - the interface's signature
        """Return nothing: the listing tells all, damage shows when the variables are read."""
        return ""

    def load(self, checkpoint: Checkpoint, model: Any) -> int | None:
        """Load the model's own variables and return the training iterations."""
        try:
            saved = SavedGraph(str(checkpoint.path))
            iterations = saved.iterations()
            if iterations is None:
                raise IterationsMissingError(checkpoint.path)
            values = saved.values_for(model)
        except (CheckpointError, IterationsMissingError):
            raise
        except Exception as error:  # the reader turns damage into any of a dozen types, IndexError among them
            raise CheckpointUnreadable(first_line(error)) from error
        for variable, value in values:
            variable.assign(value)
        return iterations


def _shards(files: Files) -> dict[str, dict[int, dict[int, FileState]]]:
    """Group data shards: prefix, then the count that their names tell, then their index."""
    shards: dict[str, dict[int, dict[int, FileState]]] = {}
    for name, state in files.items():
        if match := _SHARD.fullmatch(name):
            parts = shards.setdefault(match["prefix"], {}).setdefault(int(match["count"]), {})
            parts[int(match["index"])] = state
    return shards


def _missing(index: FileState | None, parts: dict[int, dict[int, FileState]]) -> str:
    if index is None or index.size == 0:
        return "its index file is missing"
    if not parts:
        return "its data shards are missing"
    if any(len(present) == count for count, present in parts.items()):
        return ""
    count, present = max(parts.items())
    return f"{count - len(present)} of its {count} data shards are missing"


class SavedGraph:
    """The object graph in a checkpoint, beside which a live model can be walked."""

    def __init__(self, path: str) -> None:
        import tensorflow as tf
        from tensorflow.core.protobuf import trackable_object_graph_pb2

        self._reader = tf.train.load_checkpoint(path)
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(self._reader.get_tensor(_GRAPH_KEY))
        self._nodes = graph.nodes
        self._shapes = self._reader.get_variable_to_shape_map()

    def iterations(self) -> int | None:
        """Return the optimizer's counter, saved beside the model or as part of it."""
        for owner in (0, self._model_node()):
            optimizer = self._children(owner).get("optimizer")
            if optimizer is not None and (key := self._iterations_key(optimizer)):
                return int(self._reader.get_tensor(key))
        return None

    def values_for(self, model: Any) -> list[tuple[Any, Any]]:
        """Read a value for each variable of the model.

        Raises CheckpointIncompatible: a variable is missing, has another shape, or is in excess.
        """
        keys = self._keys_beside(model)
        shapes = {key: tuple(self._shapes[key]) for key in keys.values()}
        matched = [(weight, keys.get(id(weight))) for weight in model.weights]
        found = {_name(weight): (tuple(weight.shape), shapes.get(key) if key else None) for weight, key in matched}
        require_same(found, self._excess(set(keys.values())))
        return [(weight, self._reader.get_tensor(key)) for weight, key in matched]

    def _keys_beside(self, model: Any) -> dict[int, str]:
        """Walk model and saved graph together; return the key of each live variable by its id."""
        import tensorflow as tf

        view = tf.train.TrackableView(model)
        keys: dict[int, str] = {}
        queue = deque([(self._model_node(), model)])
        visited = set()
        while queue:
            node, live = queue.popleft()
            if node in visited:
                continue
            visited.add(node)
            if key := self._key(node):
                keys[id(live)] = key
            live_children = view.children(live)
            for name, child in self._children(node).items():
                if name in live_children and name != "optimizer":
                    queue.append((child, live_children[name]))
        return keys

    def _excess(self, matched: set[str]) -> list[str]:
        """Return saved variables of layers that the model does not have."""
        keys = (key for key, in_layer in self._variables_below(self._model_node()) if in_layer)
        return sorted(set(keys) - matched)

    def _variables_below(self, root: int) -> Iterator[tuple[str, bool]]:
        """Yield the key of each saved variable and whether a list of layers holds it."""
        queue = deque([(root, False)])
        visited = set()
        while queue:
            node, in_layer = queue.popleft()
            if (node, in_layer) in visited:
                continue
            visited.add((node, in_layer))
            if key := self._key(node):
                yield key, in_layer
            for name, child in self._children(node).items():
                if name != "optimizer":
                    queue.append((child, in_layer or name.startswith(_LAYER_LISTS)))

    def _iterations_key(self, optimizer: int) -> str | None:
        """Return the counter's key; around another optimizer, Keras 3's own counter stays at 0."""
        children = self._children(optimizer)
        if _INNER in children and (key := self._iterations_key(children[_INNER])):
            return key
        keys = (self._key(children[name]) for name in _ITERATION_NAMES if name in children)
        return next((key for key in keys if key), None)

    def _model_node(self) -> int:
        """Return the node of the model: a child of the root, or the root where weights alone were saved."""
        return self._children(0).get("model", 0)

    def _children(self, node: int) -> dict[str, int]:
        return {child.local_name: child.node_id for child in self._nodes[node].children}

    def _key(self, node: int) -> str | None:
        for attribute in self._nodes[node].attributes:
            if attribute.name == "VARIABLE_VALUE":
                return str(attribute.checkpoint_key)
        return None


def _name(variable: Any) -> str:
    """Return the variable's path; tf_keras knows only names, which several variables may share."""
    return str(getattr(variable, "path", None) or f"{variable.name}@{id(variable)}")
