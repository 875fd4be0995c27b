"""Matches a model with the object graph of a TensorFlow checkpoint, to find the key of each variable.

TensorFlow names a variable that two objects share by one path only, so names alone do not identify variables;
the object graph does. Only `tensorflow.format` uses this module. It must not read tensors or change the model.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from sidecar_evaluator.checkpoints.compatibility import is_compatible, variable_name
from sidecar_evaluator.checkpoints.generated_names import positions_by_rank
from sidecar_evaluator.checkpoints.model_code import code_of_model
from sidecar_evaluator.checkpoints.model_variables import lookup_tables, tf_variables, variables_to_restore
from sidecar_evaluator.errors import CheckpointIncompatible

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_ITERATION_NAMES = ("_iterations", "iter")  # Keras 3 and newer tf_keras; tf_keras's legacy optimizers
_INNER_OPTIMIZER = "inner_optimizer"  # of a LossScaleOptimizer, whose own counter stays at 0 in Keras 3
_MODEL, _OPTIMIZER = "model", "optimizer"
_VARIABLE, _TABLE = "VARIABLE_VALUE", "table"
_TRAINABLE, _SLOTS = "_trainable_variables", "_variables"
_LEVELS = 3  # of objects in objects that a checkpoint was made of
_ROOT_COUNTERS = ("iterations", "global_step", "step")
_LAYER_LISTS = ("_operations", "_layers", "layer_with_weights")


Nodes = dict[str, int]
Shapes = Mapping[str, Sequence[int]]


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
        """Return the key of the iterations of the optimizer that trains the matched model, or of a step at the root.

        Where nothing tells which variables an optimizer trains, the likely ones come first. A variable of the model
        is no step, although the model may be the root.
        """
        trained = [(self._trains(family, match), self._iterations_key(family)) for family in self._optimizers()]
        children = self._children(0)
        keys = [key for trains, key in trained if trains]
        keys += [key for trains, key in trained if trains is None]
        keys += [self._key(children[name]) for name in _ROOT_COUNTERS if name in children]
        keys += [key for trains, key in trained if trains is False]
        return next((key for key in keys if key and key not in match.all_keys), None)

    def match(self, model: Any, shapes: Shapes) -> Match:
        """Find the model in the graph: under the name `model`, as the root, or under another name, also a nested one.

        `shapes` are those of the saved variables by key: they tell models apart whose layers have the same names.

        Raises CheckpointIncompatible: several objects could be the model.
        """
        closest = None
        for candidates in self._candidates():
            matches = {path: self._match(node, model) for path, node in candidates.items()}
            exact = {path: match for path, match in matches.items() if _is_exact(match, model, shapes)}
            if exact:
                return _only(exact)
            closest = closest or next((match for match in matches.values() if match.is_complete), None)
        first = self._match(self._children(0).get(_MODEL, 0), model)
        return closest or self._match_by_optimizer(first, model)

    def _candidates(self) -> Iterator[Nodes]:
        """Yield the nodes that may be the model by path, the most likely first: one of several in a group decides."""
        children = self._children(0)
        if _MODEL in children:
            yield {_MODEL: children[_MODEL]}
        yield {"": 0}
        for level in self._levels():
            yield {path: node for path, node in level.items() if PurePosixPath(path).name != _OPTIMIZER}

    def _levels(self) -> Iterator[Nodes]:
        """Yield what the checkpoint was made of, by path, and then what that was made of: models are not entered."""
        level: Nodes = {"": 0}
        for _ in range(_LEVELS):
            level = {
                f"{path}/{name}".strip("/"): child
                for path, node in level.items()
                if not self._is_model(node) and not self._iterations_key((node,))
                for name, child in self._children(node).items()
                if not self._nodes[child].attributes
            }
            yield level

    def _is_model(self, node: int) -> bool:
        return any(name.startswith(_LAYER_LISTS) for name in self._children(node))

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
        for optimizer in chain.from_iterable(self._optimizers()):
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

    def _optimizers(self) -> Iterator[tuple[int, ...]]:
        """Yield the nodes that may be optimizers, the most likely first; a wrapped optimizer before its wrapper."""
        root = self._children(0)
        saved = [node for level in self._levels() for node in level.values()]
        of_models = (self._children(node).get(_OPTIMIZER) for node in (root.get(_MODEL, 0), *saved))
        for node in (root.get(_OPTIMIZER), *of_models, *saved):
            if node is not None:
                inner = self._children(node).get(_INNER_OPTIMIZER)
                yield (node,) if inner is None else (inner, node)

    def _iterations_key(self, optimizers: Iterable[int]) -> str | None:
        for children in map(self._children, optimizers):
            for name in _ITERATION_NAMES:
                if name in children and (key := self._key(children[name])):
                    return key
        return None

    def _trains(self, optimizers: Sequence[int], match: Match) -> bool | None:
        """Return whether an optimizer trains the matched model, None if it has nothing that tells."""
        keys: set[str | None] = set()
        slots: set[str] = set()
        for optimizer in optimizers:
            children = self._children(optimizer)
            keys |= set(map(self._key, self._list_items(children.get(_TRAINABLE))))
            keys |= {self._key(slot.original_variable_node_id) for slot in self._nodes[optimizer].slot_variables}
            slot_nodes = set(self._list_items(children.get(_SLOTS))) - set(children.values())  # without the counter
            slots |= set(map(self._full_name, slot_nodes))
        if keys:
            return not keys.isdisjoint(match.keys)
        # In tf_keras, slots are called Adam/m/dense/kernel, or m/dense/kernel.
        trained = {"/".join(name.split("/")[words:]) for name in slots for words in (1, 2)} - {""}
        names = {self._full_name(node) for node in range(len(self._nodes)) if self._key(node) in match.keys}
        return not trained.isdisjoint(names) if trained else None

    def _children(self, node: int) -> dict[str, int]:
        return {child.local_name: child.node_id for child in self._nodes[node].children}

    def _full_name(self, node: int) -> str:
        return next((str(attribute.full_name) for attribute in self._nodes[node].attributes), "")

    def _key(self, node: int, kind: str = _VARIABLE) -> str | None:
        for attribute in self._nodes[node].attributes:
            if attribute.name == kind:
                return str(attribute.checkpoint_key)
        return None


def _is_exact(match: Match, model: Any, shapes: Shapes) -> bool:
    """Return whether the model and what was saved have the same variables with the same shapes."""
    variables = [*variables_to_restore(model), *(variable for variable, _ in match.tf_variables.values())]
    return (
        match.is_complete
        and not match.excess
        and all(
            is_compatible(tuple(variable.shape), tuple(shapes[str(key)]))
            for variable, key in zip(variables, match.all_keys, strict=True)
        )
    )


def _only(matches: Mapping[str, Match]) -> Match:
    """Return the only match, or the one that was named `model`.

    Raises CheckpointIncompatible: several objects could be the model.
    """
    distinct = {match.keys: match for match in matches.values()}
    named = [match for path, match in matches.items() if PurePosixPath(path).name == _MODEL]
    if len(distinct) == 1 or len(named) == 1:
        return next(iter(named or distinct.values()))
    raise CheckpointIncompatible(
        f"The checkpoint contains {', '.join(sorted(matches))}, each of which could be the entry point's model; save "
        "the one to evaluate as tf.train.Checkpoint(model=...)."
    )


def _is_one_to_one(keys: list[str | None]) -> bool:
    present = [key for key in keys if key]
    return len(set(present)) == len(present)
