"""Which leaf of an Orbax tree is which variable of a model. Values in, values out: nothing is read here.

Understood are the trees of Keras's OrbaxCheckpoint (`trainable_variables` and `non_trainable_variables`
by variable path), and trees that hold all the weights at their root or below a name such as `params` or
`model`: nested or flat dictionaries by variable path, or the list that `model.get_weights()` returns.
Keras numbers the names that it makes up by creation, across all models of a process; where the
training made others before, names are compared by their rank among those of one kind.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

from sidecar_evaluator.checkpoints.generated_names import Numbers, Words, numbered
from sidecar_evaluator.errors import CheckpointIncompatible

Path = tuple[str, ...]

_KERAS_GROUPS = {"trainable_variables", "non_trainable_variables"}
_LIKELY = {"model", "params", "weights", "variables", "model_weights", "model_variables"}
_OPTIMIZER = re.compile(r"opt|opt_state|optimizer.*")
_RANDOM = r"seed_generator.*|random_generator.*"
_NO_WEIGHT = {
    True: re.compile(_RANDOM),  # where Keras has grouped variables, a layer may have any other name
    False: re.compile(_RANDOM + r"|metrics|metrics_variables|step|global_step|iterations?|epoch"),
}
_COUNTERS = {"iteration", "iterations", "_iterations"}  # of an optimizer
_STEPS = {"iterations", "step", "global_step"}  # beside the weights


@dataclass(frozen=True)
class Leaf:
    """A leaf by the keys that lead to it; `array` is what Orbax calls its array, in the item that holds it."""

    item: str
    keys: Path

    @property
    def array(self) -> str:
        """The name of its array."""
        return ".".join(self.keys)

    @cached_property
    def path(self) -> Path:
        """Its keys without those that Keras groups variables by; a key may itself be a path."""
        parts = tuple(part for key in self.keys for part in _parts(key))
        return (self.item, *(part for part in parts if part not in _KERAS_GROUPS))

    @cached_property
    def is_of_optimizer(self) -> bool:
        """Whether it belongs to an optimizer, whose slots have the names of variables."""
        places = takewhile(lambda key: key not in _KERAS_GROUPS, (self.item, *self.keys))
        return any(_OPTIMIZER.fullmatch(part) for key in places for part in _parts(key))

    @cached_property
    def is_grouped(self) -> bool:
        """Whether it is one of the variables of a model, as Keras groups them."""
        return not _KERAS_GROUPS.isdisjoint(self.keys)


@dataclass(frozen=True)
class Match:
    """The leaf of each variable, None where there is none, and the names of leaves in excess."""

    leaves: tuple[Leaf | None, ...]
    excess: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        """Whether each variable has a leaf, and none is in excess."""
        return None not in self.leaves and not self.excess


def match(leaves: Iterable[Leaf], names: Sequence[str]) -> Match:
    """Find the variables of a model by their paths, in the order of `model.weights`.

    Raises CheckpointIncompatible: they are there more than once.
    """
    wanted = [tuple(_parts(name)) for name in names]
    if not wanted:
        return Match((), ())
    groups = _groups(leaves)
    fitting = {prefix: found for prefix, group in groups.items() if (found := _fit(group, wanted))}
    if len(fitting) > 1:
        likely = {prefix: found for prefix, found in fitting.items() if prefix[-1] in _LIKELY}
        fitting = likely if len(likely) == 1 else fitting
    if len(fitting) > 1:
        raise CheckpointIncompatible(
            f"The checkpoint holds {', '.join(sorted('/'.join(prefix) for prefix in fitting))}, each of which could be "
            "the entry point's model; name the one to evaluate `model`."
        )
    return next(iter(fitting.values()), None) or _nearest(groups, wanted)


def counters(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Return the leaves that count iterations: those of an optimizer, or else one beside the weights."""
    own = [leaf for leaf in leaves if leaf.is_of_optimizer and leaf.path[-1] in _COUNTERS]
    return own or [leaf for leaf in leaves if len(leaf.path) <= 2 and leaf.path[-1] in _STEPS]


def _parts(name: str) -> list[str]:
    """Split the path of a variable; TensorFlow numbers the outputs of what makes one."""
    return name.removesuffix(":0").split("/")


def _groups(leaves: Iterable[Leaf]) -> dict[Path, dict[Path, Leaf]]:
    """Return what may be all the weights: the leaves below each place of the tree, by what follows."""
    groups: defaultdict[Path, dict[Path, Leaf]] = defaultdict(dict)
    for leaf in leaves:
        if not leaf.is_of_optimizer:
            for depth in range(1, len(leaf.path)):
                rest = leaf.path[depth:]
                if not any(_NO_WEIGHT[leaf.is_grouped].fullmatch(part) for part in (rest[0], *rest[:-1])):
                    groups[leaf.path[:depth]][rest] = leaf
    return groups


def _fit(group: Mapping[Path, Leaf], wanted: Sequence[Path]) -> Match | None:
    for ways in (_by_name, _by_rank, _by_order):
        places = ways(group, wanted)
        if places is not None:
            return _matched(group, places)
    return None


def _matched(group: Mapping[Path, Leaf], places: Sequence[Path]) -> Match:
    used = set(places)
    return Match(
        tuple(group.get(place) for place in places), tuple("/".join(rest) for rest in group if rest not in used)
    )


def _by_name(group: Mapping[Path, Leaf], wanted: Sequence[Path]) -> Sequence[Path] | None:
    return wanted if len(set(wanted)) == len(wanted) and all(name in group for name in wanted) else None


def _by_rank(group: Mapping[Path, Leaf], wanted: Sequence[Path]) -> Sequence[Path] | None:
    if len(group) != len(wanted):
        return None
    saved, ranks = {rank: path for path, rank in _ranks(group).items()}, _ranks(wanted)
    if set(saved) != set(ranks.values()):
        return None
    return [saved[ranks[name]] for name in wanted]


def _by_order(group: Mapping[Path, Leaf], wanted: Sequence[Path]) -> Sequence[Path] | None:
    if len(group) != len(wanted):
        return None
    order = [(str(position),) for position in range(len(wanted))]
    return order if set(order) == set(group) else None


def _ranks(paths: Iterable[Path]) -> dict[Path, Path]:
    """Replace the numbers in each name of each path by its rank among its siblings of the same kind."""
    siblings: defaultdict[tuple[Path, Words], set[Numbers]] = defaultdict(set)
    paths = list(paths)
    for path in paths:
        for depth, part in enumerate(path):
            words, numbers = numbered(part)
            siblings[path[:depth], words].add(numbers)
    ordered = {
        place: {numbers: rank for rank, numbers in enumerate(sorted(found))} for place, found in siblings.items()
    }

    def ranked(path: Path, depth: int) -> str:
        words, numbers = numbered(path[depth])
        return f"{'_'.join(words)}#{ordered[path[:depth], words][numbers]}"

    return {path: tuple(ranked(path, depth) for depth in range(len(path))) for path in paths}


def _nearest(groups: Mapping[Path, Mapping[Path, Leaf]], wanted: Sequence[Path]) -> Match:
    """Return the place that has most of the variables, to name what differs."""
    best = max(groups.values(), key=lambda group: sum(name in group for name in wanted), default={})
    return _matched(best, wanted)
