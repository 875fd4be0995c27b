"""The object graph in a TensorFlow checkpoint, beside which a live model is walked.

TensorFlow names a variable that two objects share by one path only, so that names alone do not
tell which variable is which; the graph does. Used by the TensorFlow format; nothing is read here
but the graph itself, and the model is only looked at.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sidecar_evaluator.checkpoints.compatibility import name_of
from sidecar_evaluator.checkpoints.generated_names import places_by_rank
from sidecar_evaluator.checkpoints.model_variables import lookup_tables, other_variables, restored_variables
from sidecar_evaluator.errors import CheckpointIncompatible

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_ITERATION_NAMES = ("_iterations", "iter")  # Keras 3 and newer tf_keras; tf_keras's legacy optimizers
_INNER = "inner_optimizer"  # of a LossScaleOptimizer, whose own counter stays at 0 in Keras 3
_MODEL, _OPTIMIZER = "model", "optimizer"
_VARIABLE, _TABLE = "VARIABLE_VALUE", "table"
_TRAINED = "_trainable_variables"
_LAYER_LISTS = ("_operations", "_layers", "layer_with_weights")


@dataclass(frozen=True)
class Match:
    """The key of each variable of a model, None where the checkpoint has it not, and the keys in excess.

    `others` are the model's `other_variables` by their places, each with its key, and `tables` its `lookup_tables`
    that the checkpoint has.
    """

    keys: tuple[str | None, ...]
    excess: tuple[str, ...]
    others: Mapping[str, tuple[Any, str | None]]
    tables: Mapping[str, tuple[Any, str]]

    @property
    def all_keys(self) -> list[str | None]:
        """The keys of the model's variables and of the others."""
        return [*self.keys, *(key for _, key in self.others.values())]

    @property
    def is_whole(self) -> bool:
        """Whether each variable has a key."""
        return None not in self.all_keys


class SavedGraph:
    """Nodes with named children; a node that is a variable has the key of its value."""

    def __init__(self, serialized: bytes) -> None:
        from tensorflow.core.protobuf import trackable_object_graph_pb2

        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(serialized)
        self._nodes = graph.nodes

    def iterations_key(self) -> str | None:
        """Return the key of an optimizer's counter, saved beside the model or as part of it."""
        keys = (self._iterations_key(optimizer) for optimizer in self._optimizers())
        return next((key for key in keys if key), None)

    def match(self, model: Any) -> Match:
        """Find the model in the graph: what was saved as `model`, or alone, or under a name of its own.

        Raises CheckpointIncompatible: several objects could be the model.
        """
        children = self._children(0)
        first = self._match(children.get(_MODEL, 0), model)
        if first.is_whole:
            return first
        other = self._match(0, model) if _MODEL in children else self._match_of_any(children, model)
        return other if other and other.is_whole else self._completed(first, model)

    def _match_of_any(self, children: dict[str, int], model: Any) -> Match | None:
        if any(name.startswith(_LAYER_LISTS) for name in children):  # a model that was saved alone
            return None
        found = {name: self._match(node, model) for name, node in children.items() if name != _OPTIMIZER}
        fitting = {name: match for name, match in found.items() if match.is_whole}
        if len(fitting) > 1:
            raise CheckpointIncompatible(
                f"The checkpoint holds {', '.join(sorted(fitting))}, each of which could be the entry point's model; "
                "save the one to evaluate as tf.train.Checkpoint(model=...)."
            )
        return next(iter(fitting.values()), None)

    def _match(self, node: int, model: Any) -> Match:
        nodes = self._nodes_beside(node, model)
        beside = {live: key for live, found in nodes.items() if (key := self._key(found))}
        saved = {live: key for live, found in nodes.items() if (key := self._key(found, _TABLE))}
        in_layers = {key for key, in_layer in self._variables_below(node) if in_layer}
        return Match(
            tuple(beside.get(id(variable)) for variable in restored_variables(model)),
            tuple(sorted(in_layers - set(beside.values()))),
            {place: (each, beside.get(id(each))) for place, each in other_variables(model).items()},
            {place: (each, saved[id(each)]) for place, each in lookup_tables(model).items() if id(each) in saved},
        )

    def _completed(self, match: Match, model: Any) -> Match:
        """Find layers that a Keras 3 model keeps in lists: TensorFlow saves them as the optimizer's variables only.

        They are trusted where the optimizer's list is the model's, variable by variable: by the names of the
        optimizer's slots, or in the order of the model where it has none.
        """
        trained = {id(variable): name_of(variable).replace("/", "_") for variable in model.trainable_variables}
        for optimizer in self._optimizers():
            listed = [self._key(node) for node in self._listed(self._children(optimizer).get(_TRAINED))]
            if len(listed) != len(trained):
                continue
            places = places_by_rank(self._slots(optimizer, len(trained)), list(trained.values()))
            order = dict(zip(trained, places or range(len(trained)), strict=True))
            keys = [listed[order[id(each)]] if id(each) in order else None for each in restored_variables(model)]
            pairs = list(zip(match.keys, keys, strict=True))
            if all(one is None or other in (one, None) for one, other in pairs):
                return replace(match, keys=tuple(one or other for one, other in pairs))
        return match

    def _slots(self, optimizer: int, count: int) -> list[str]:
        """Return the names of slots that an optimizer keeps for each of so many variables, in their order."""
        children = self._children(optimizer)
        lists = (self._listed(node) for name, node in children.items() if name != _TRAINED)
        names = [[self._full_name(node) for node in nodes] for nodes in lists if len(nodes) == count]
        return [name.partition("/")[2] for name in names[0]] if names else []

    def _listed(self, node: int | None) -> list[int]:
        """Return the nodes in a list, in its order; what is no list has none."""
        children = {} if node is None else self._children(node)
        return [children[name] for name in sorted(filter(str.isdigit, children), key=int)]

    def _nodes_beside(self, root: int, model: Any) -> dict[int, int]:
        """Walk model and saved graph together; return the node of each live object that has a value, by its id."""
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
            live_children = view.children(live)
            for name, child in self._children(node).items():
                if name in live_children and name != _OPTIMIZER:
                    queue.append((child, live_children[name]))
        return nodes

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
                if name != _OPTIMIZER:
                    queue.append((child, in_layer or name.startswith(_LAYER_LISTS)))

    def _optimizers(self) -> Iterator[int]:
        """Yield what may be an optimizer, the likely ones first; the one that another wraps before it."""
        root = self._children(0)
        likely = (root.get(_OPTIMIZER), self._children(root.get(_MODEL, 0)).get(_OPTIMIZER), *root.values())
        for node in likely:
            if node is not None:
                if (inner := self._children(node).get(_INNER)) is not None:
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
