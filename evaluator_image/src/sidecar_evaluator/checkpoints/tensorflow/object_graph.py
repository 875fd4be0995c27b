"""Matches a model with the object graph of a TensorFlow checkpoint, to find the key of each variable.

TensorFlow names a variable that two objects share by one path only, so names alone do not identify variables;
the object graph does. Only `tensorflow.format` uses this module. It must not read tensors or change the model.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sidecar_evaluator.checkpoints.compatibility import variable_name
from sidecar_evaluator.checkpoints.generated_names import positions_by_rank
from sidecar_evaluator.checkpoints.model_code import code_of_model
from sidecar_evaluator.checkpoints.model_variables import lookup_tables, tf_variables, variables_to_restore
from sidecar_evaluator.errors import CheckpointIncompatible

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_ITERATION_NAMES = ("_iterations", "iter")  # Keras 3 and newer tf_keras; tf_keras's legacy optimizers
_INNER_OPTIMIZER = "inner_optimizer"  # of a LossScaleOptimizer, whose own counter stays at 0 in Keras 3
_MODEL, _OPTIMIZER = "model", "optimizer"
_VARIABLE, _TABLE = "VARIABLE_VALUE", "table"
_TRAINABLE = "_trainable_variables"
_ROOT_COUNTERS = ("iterations", "global_step", "step")
_LAYER_LISTS = ("_operations", "_layers", "layer_with_weights")


@dataclass(frozen=True)
class Match:
    """The key of each variable of a model, None if the checkpoint lacks it, and the keys that the model lacks.

    `tf_variables` are the model's `tf.Variable`s by path, each with its key, and `tables` those of its
    `lookup_tables` that the checkpoint contains.
    """

    keys: tuple[str | None, ...]
    excess: tuple[str, ...]
    tf_variables: Mapping[str, tuple[Any, str | None]]
    tables: Mapping[str, tuple[Any, str]]

    @property
    def all_keys(self) -> list[str | None]:
        """The keys of the variables to restore and of the `tf.Variable`s."""
        return [*self.keys, *(key for _, key in self.tf_variables.values())]

    @property
    def is_complete(self) -> bool:
        """Whether each variable has a key."""
        return None not in self.all_keys


class SavedGraph:
    """The saved object graph: nodes with named children; the node of a variable contains the key of its value."""

    def __init__(self, serialized: bytes) -> None:
        from tensorflow.core.protobuf import trackable_object_graph_pb2

        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(serialized)
        self._nodes = graph.nodes

    def iterations_key(self, match: Match) -> str | None:
        """Return the key of an optimizer's iterations, saved next to the model or in it, or else of a step at the root.

        A variable of the model is no step, although the model may be the root.
        """
        keys = (self._iterations_key(optimizer) for optimizer in self._optimizers())
        children = self._children(0)
        at_root = (self._key(children[name]) for name in _ROOT_COUNTERS if name in children)
        return next((key for key in (*keys, *at_root) if key and key not in match.all_keys), None)

    def match(self, model: Any) -> Match:
        """Find the model in the graph, saved under the name `model`, under another name, or as the root.

        Raises CheckpointIncompatible: several objects could be the model.
        """
        children = self._children(0)
        first = self._match(children.get(_MODEL, 0), model)
        if first.is_complete:
            return first
        second = self._match(0, model) if _MODEL in children else self._match_any(children, model)
        return second if second and second.is_complete else self._match_by_optimizer(first, model)

    def _match_any(self, children: dict[str, int], model: Any) -> Match | None:
        if any(name.startswith(_LAYER_LISTS) for name in children):  # the root itself is a model
            return None
        matches = {name: self._match(node, model) for name, node in children.items() if name != _OPTIMIZER}
        complete = {name: match for name, match in matches.items() if match.is_complete}
        if len(complete) > 1:
            raise CheckpointIncompatible(
                f"The checkpoint contains {', '.join(sorted(complete))}, each of which could be the entry point's "
                "model; save the one to evaluate as tf.train.Checkpoint(model=...)."
            )
        return next(iter(complete.values()), None)

    def _match(self, node: int, model: Any) -> Match:
        nodes = self._matching_nodes(node, model)
        keys = {live_id: key for live_id, saved_node in nodes.items() if (key := self._key(saved_node))}
        table_keys = {live_id: key for live_id, saved_node in nodes.items() if (key := self._key(saved_node, _TABLE))}
        in_layers = {key for key, in_layer in self._variables_below(node) if in_layer}
        tables = {path: table for path, table in lookup_tables(model).items() if id(table) in table_keys}
        return Match(
            tuple(keys.get(id(variable)) for variable in variables_to_restore(model)),
            tuple(sorted(in_layers - set(keys.values()))),
            {path: (variable, keys.get(id(variable))) for path, variable in tf_variables(model).items()},
            {path: (table, table_keys[id(table)]) for path, table in tables.items()},
        )

    def _match_by_optimizer(self, match: Match, model: Any) -> Match:
        """Complete a match with layers in Python lists, which Keras 3 saves only as variables of the optimizer.

        The variables of an optimizer correspond to the model's trainable variables if their numbers are equal:
        by the names of the optimizer's slots, or in the same order if it has no slots. Equal numbers of other
        variables, because the training has frozen other layers, would give one value to two variables.
        """
        with code_of_model():
            variables = list(model.trainable_variables)
        trainable = {id(variable): variable_name(variable).replace("/", "_") for variable in variables}
        for optimizer in self._optimizers():
            saved_keys = [self._key(node) for node in self._list_items(self._children(optimizer).get(_TRAINABLE))]
            if len(saved_keys) != len(trainable):
                continue
            positions = positions_by_rank(self._slot_names(optimizer, len(trainable)), list(trainable.values()))
            order = dict(zip(trainable, positions or range(len(trainable)), strict=True))
            keys = [
                saved_keys[order[id(variable)]] if id(variable) in order else None
                for variable in variables_to_restore(model)
            ]
            pairs = list(zip(match.keys, keys, strict=True))
            completed = [by_graph or by_optimizer for by_graph, by_optimizer in pairs]
            agree = all(by_graph is None or by_optimizer in (by_graph, None) for by_graph, by_optimizer in pairs)
            if agree and _is_one_to_one(completed):
                return replace(match, keys=tuple(completed))
        return match

    def _slot_names(self, optimizer: int, count: int) -> list[str]:
        """Return the names of the first list of `count` slots of an optimizer, in order."""
        children = self._children(optimizer)
        lists = (self._list_items(node) for name, node in children.items() if name != _TRAINABLE)
        names = [[self._full_name(node) for node in nodes] for nodes in lists if len(nodes) == count]
        return [name.partition("/")[2] for name in names[0]] if names else []

    def _list_items(self, node: int | None) -> list[int]:
        """Return the nodes of a list's items in order; none if the node is not a list."""
        children = {} if node is None else self._children(node)
        return [children[name] for name in sorted(filter(str.isdigit, children), key=int)]

    def _matching_nodes(self, root: int, model: Any) -> dict[int, int]:
        """Walk model and saved graph in parallel; return the node of each live object that has a value, by its id."""
        import tensorflow as tf

        view = tf.train.TrackableView(model)
        nodes: dict[int, int] = {}
        queue = deque([(root, model)])
        visited = set()
        while queue:
            node, live = queue.popleft()
            if node in visited:
                continue
            visited.add(node)
            if self._nodes[node].attributes:
                nodes[id(live)] = node
            with code_of_model():
                live_children = view.children(live)
            for name, child in self._children(node).items():
                if name in live_children and name != _OPTIMIZER:
                    queue.append((child, live_children[name]))
        return nodes

    def _variables_below(self, root: int) -> Iterator[tuple[str, bool]]:
        """Yield the key of each saved variable, and whether it belongs to a layer."""
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
                if name != _OPTIMIZER:
                    queue.append((child, in_layer or name.startswith(_LAYER_LISTS)))

    def _optimizers(self) -> Iterator[int]:
        """Yield the nodes that may be optimizers, the most likely first; a wrapped optimizer before its wrapper."""
        root = self._children(0)
        likely = (root.get(_OPTIMIZER), self._children(root.get(_MODEL, 0)).get(_OPTIMIZER), *root.values())
        for node in likely:
            if node is not None:
                if (inner := self._children(node).get(_INNER_OPTIMIZER)) is not None:
                    yield inner
                yield node

    def _iterations_key(self, optimizer: int) -> str | None:
        children = self._children(optimizer)
        keys = (self._key(children[name]) for name in _ITERATION_NAMES if name in children)
        return next((key for key in keys if key), None)

    def _children(self, node: int) -> dict[str, int]:
        return {child.local_name: child.node_id for child in self._nodes[node].children}

    def _full_name(self, node: int) -> str:
        return next((str(attribute.full_name) for attribute in self._nodes[node].attributes), "")

    def _key(self, node: int, kind: str = _VARIABLE) -> str | None:
        for attribute in self._nodes[node].attributes:
            if attribute.name == kind:
                return str(attribute.checkpoint_key)
        return None


def _is_one_to_one(keys: list[str | None]) -> bool:
    present = [key for key in keys if key]
    return len(set(present)) == len(present)
