"""Matches the leaves of an Orbax tree with the variables of a model.

Supported are the trees of Keras's OrbaxCheckpoint (`trainable_variables` and `non_trainable_variables` by
variable path), and trees with all weights at the root or below a name such as `params` or `model`: nested or
flat dictionaries by variable path, or the list that `model.get_weights()` returns. Names that Keras generated
are compared by rank, see `checkpoints.generated_names`. Only `orbax.format` uses this module; it must not
read files.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile

from sidecar_evaluator.checkpoints.generated_names import Numbers, Words, split_numbers
from sidecar_evaluator.errors import CheckpointIncompatible

Path = tuple[str, ...]

_KERAS_GROUPS = {"trainable_variables", "non_trainable_variables"}
_MODEL_NAMES = {"model", "params", "weights", "variables", "model_weights", "model_variables"}
_OPTIMIZER = re.compile(r"opt|opt_state|optimizer.*")
_RANDOM = r"seed_generator.*|random_generator.*"
_NOT_A_WEIGHT = {
    True: re.compile(_RANDOM),  # within the groups of Keras, a layer may have any other name
    False: re.compile(_RANDOM + r"|metrics|metrics_variables|step|global_step|iterations?|epoch"),
}
_OPTIMIZER_COUNTERS = {"iteration", "iterations", "_iterations"}
_ROOT_COUNTERS = {"iterations", "step", "global_step"}


@dataclass(frozen=True)
class Leaf:
    """A leaf: the item of the step that contains it, and its keys from the root of the tree."""

    item: str
    keys: Path

    @property
    def array(self) -> str:
        """The name that Orbax gives its array."""
        return ".".join(self.keys)

    @cached_property
    def path(self) -> Path:
        """Item and keys, without Keras's groups of variables; a key may itself be a variable path."""
        parts = tuple(part for key in self.keys for part in _parts(key))
        return (self.item, *(part for part in parts if part not in _KERAS_GROUPS))

    @cached_property
    def is_of_optimizer(self) -> bool:
        """Whether it belongs to an optimizer, whose slots are named like the model's variables."""
        outer_keys = takewhile(lambda key: key not in _KERAS_GROUPS, (self.item, *self.keys))
        return any(_OPTIMIZER.fullmatch(part) for key in outer_keys for part in _parts(key))

    @cached_property
    def is_grouped(self) -> bool:
        """Whether it is in one of Keras's groups of variables."""
        return not _KERAS_GROUPS.isdisjoint(self.keys)


@dataclass(frozen=True)
class Match:
    """The leaf of each variable, None if there is none, and the names of the leaves that the model lacks.

    It `is_by_order` if the leaves are a list, so that only their order tells which variable each one is.
    """

    leaves: tuple[Leaf | None, ...]
    excess: tuple[str, ...]
    is_by_order: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether each variable has a leaf, and each leaf a variable."""
        return None not in self.leaves and not self.excess


def match(leaves: Iterable[Leaf], names: Sequence[str]) -> Match:
    """Find the leaves of variables by their paths, in the order of `names`.

    Raises CheckpointIncompatible: several subtrees could be the model.
    """
    wanted = [tuple(_parts(name)) for name in names]
    if not wanted:
        return Match((), ())
    subtrees = _subtrees(leaves)
    matches = {prefix: matched for prefix, subtree in subtrees.items() if (matched := _match(subtree, wanted))}
    if len(matches) > 1:
        named_model = {prefix: matched for prefix, matched in matches.items() if prefix[-1] in _MODEL_NAMES}
        matches = named_model if len(named_model) == 1 else matches
    if len(matches) > 1:
        names_of_matches = ", ".join(sorted("/".join(prefix) for prefix in matches))
        raise CheckpointIncompatible(
            f"The checkpoint contains {names_of_matches}, each of which could be the entry point's model; name the one "
            "to evaluate `model`."
        )
    return next(iter(matches.values()), None) or _closest(subtrees, wanted)


def counters(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Return the leaves that count iterations: those of optimizers, or else those at the root of a tree."""
    of_optimizers = [leaf for leaf in leaves if leaf.is_of_optimizer and leaf.path[-1] in _OPTIMIZER_COUNTERS]
    return of_optimizers or [leaf for leaf in leaves if len(leaf.path) <= 2 and leaf.path[-1] in _ROOT_COUNTERS]


def _parts(name: str) -> list[str]:
    """Split the path of a variable, without the output number `:0` that TensorFlow appends."""
    return name.removesuffix(":0").split("/")


def _subtrees(leaves: Iterable[Leaf]) -> dict[Path, dict[Path, Leaf]]:
    """Return the leaves below each node of the tree that may be weights, by their path below that node."""
    subtrees: defaultdict[Path, dict[Path, Leaf]] = defaultdict(dict)
    for leaf in leaves:
        if not leaf.is_of_optimizer:
            for depth in range(1, len(leaf.path)):
                relative = leaf.path[depth:]
                if not any(_NOT_A_WEIGHT[leaf.is_grouped].fullmatch(part) for part in (relative[0], *relative[:-1])):
                    subtrees[leaf.path[:depth]][relative] = leaf
    return subtrees


def _match(subtree: Mapping[Path, Leaf], wanted: Sequence[Path]) -> Match | None:
    for find_paths in (_by_name, _by_rank, _by_order):
        paths = find_paths(subtree, wanted)
        if paths is not None:
            return replace(_match_of(subtree, paths), is_by_order=find_paths is _by_order)
    return None


def _match_of(subtree: Mapping[Path, Leaf], paths: Sequence[Path]) -> Match:
    used = set(paths)
    return Match(
        tuple(subtree.get(path) for path in paths), tuple("/".join(path) for path in subtree if path not in used)
    )


def _by_name(subtree: Mapping[Path, Leaf], wanted: Sequence[Path]) -> Sequence[Path] | None:
    return wanted if len(set(wanted)) == len(wanted) and all(path in subtree for path in wanted) else None


def _by_rank(subtree: Mapping[Path, Leaf], wanted: Sequence[Path]) -> Sequence[Path] | None:
    if len(subtree) != len(wanted):
        return None
    saved, ranks = {rank: path for path, rank in _ranks(subtree).items()}, _ranks(wanted)
    if set(saved) != set(ranks.values()):
        return None
    return [saved[ranks[path]] for path in wanted]


def _by_order(subtree: Mapping[Path, Leaf], wanted: Sequence[Path]) -> Sequence[Path] | None:
    if len(subtree) != len(wanted):
        return None
    order = [(str(position),) for position in range(len(wanted))]
    return order if set(order) == set(subtree) else None


def _ranks(paths: Iterable[Path]) -> dict[Path, Path]:
    """Replace the numbers in each part of each path by its rank among the siblings with the same words."""
    siblings: defaultdict[tuple[Path, Words], set[Numbers]] = defaultdict(set)
    paths = list(paths)
    for path in paths:
        for depth, part in enumerate(path):
            words, numbers = split_numbers(part)
            siblings[path[:depth], words].add(numbers)
    ordered = {
        key: {numbers: rank for rank, numbers in enumerate(sorted(numbers_of_siblings))}
        for key, numbers_of_siblings in siblings.items()
    }

    def ranked(path: Path, depth: int) -> str:
        words, numbers = split_numbers(path[depth])
        return f"{'_'.join(words)}#{ordered[path[:depth], words][numbers]}"

    return {path: tuple(ranked(path, depth) for depth in range(len(path))) for path in paths}


def _closest(subtrees: Mapping[Path, Mapping[Path, Leaf]], wanted: Sequence[Path]) -> Match:
    """Return the match of the subtree with the most variables, so that the error message names the differences."""
    best = max(subtrees.values(), key=lambda subtree: sum(path in subtree for path in wanted), default={})
    return _match_of(best, wanted)
