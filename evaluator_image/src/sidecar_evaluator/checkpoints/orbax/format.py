"""Orbax steps: directories such as `7` or `step_0007`, written by Keras's OrbaxCheckpoint or by Orbax.

Orbax renames a complete step into place, or marks it as committed if the file system cannot rename. A step that
is being copied may be incomplete, so the sizes of its files are compared with its OCDBT databases. It is read
with tensorstore, because importing Orbax would import JAX, which allocates GPU memory. Only the model's
variables are read, and the iterations if they were saved. `checkpoints.interface` says who calls which method.
"""

import json
import re
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.compatibility import cast_to_variables, require_compatible, variable_name
from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, Weights
from sidecar_evaluator.checkpoints.model_variables import variables_to_restore
from sidecar_evaluator.checkpoints.orbax.arrays import METADATA, Item, items_of, missing_files, open_arrays, read_arrays
from sidecar_evaluator.checkpoints.orbax.tree import Leaf, Match, counters, match
from sidecar_evaluator.checkpoints.snapshot import consistent_snapshot
from sidecar_evaluator.checkpoints.vocabularies import ASSET, INNER_LAYER, SavedVocabulary, VocabularyCheck
from sidecar_evaluator.checkpoints.weight_order import require_known_order
from sidecar_evaluator.errors import CheckpointIncompatible, first_line

_NAME = re.compile(r"(?:[^.].*_)?\d+")
_TEMPORARY = ".orbax-checkpoint-tmp"
_STEP, _COMMITTED = "_CHECKPOINT_METADATA", "commit_success.txt"
_STATE_FILES = (_STEP, _COMMITTED, METADATA, "manifest.ocdbt")
_ASSETS = "assets"
_TREE_HANDLER = re.compile(r"PyTree|StandardCheckpoint")  # in the name of the class that wrote an item
_NAMED, _KEY_LENGTH = 8, 60  # of the keys in a message
_STEP_ENTRIES = {*_STATE_FILES, "pytree", "default", "ocdbt.process_0"}


@dataclass(frozen=True)
class _ReadPlan:
    """The leaves of a model's variables and of the iterations, in all steps with the same leaves."""

    model: "weakref.ref[Any]"
    leaves: tuple[Leaf, ...]
    match: Match
    counters: Sequence[Leaf]


class Orbax(CheckpointFormat):
    """Step directories of Orbax."""

    name = "Orbax"
    loading = "model.load_weights(pathlib.Path(path).resolve().parent)"
    depth = 2  # the entries of a step distinguish it from other directories whose name is a number

    def __init__(self) -> None:
        self._plan: _ReadPlan | None = None
        self._vocabularies = VocabularyCheck()

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Claim directories whose name is a number, or a prefix, `_` and a number."""
        return name if is_directory and _TEMPORARY not in name and _NAME.fullmatch(name) else None

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Create the checkpoint of a step; without files if the directory is not an Orbax step."""
        present = {file.removeprefix(name + "/"): state for file, state in files.items()}
        state_files = [present[file] for file in _STATE_FILES if file in present] or list(present.values())
        states = () if _STEP_ENTRIES.isdisjoint(present) else tuple(state_files)
        return Checkpoint(name, directory / name, self, states, "" if _STEP in present else f"its {_STEP} is missing")

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Check that the step is committed and that its items have all their data files."""
        try:
            step = json.loads((checkpoint.path / _STEP).read_bytes())
            if not step.get("commit_timestamp_nsecs") and not (checkpoint.path / _COMMITTED).is_file():
                return "it is not committed yet"
            required = _required_entries(step["item_handlers"])
            missing = [entry for entry in required if not (checkpoint.path / entry).exists()]
            if missing:
                return f"its {missing[0]} is missing"
            return next(filter(None, map(missing_files, items_of(checkpoint.path))), "")
        except Exception as error:  # tensorstore raises several types of errors for damaged files
            return f"it is not complete: {first_line(error)}"

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read a value for each variable of the model, and the iterations if they were saved."""
        with consistent_snapshot((checkpoint.path / _STEP).read_bytes):  # contains the time of the save in nanoseconds
            items = {item.name: item for item in items_of(checkpoint.path)}
            plan = self._plan_for(model, tuple(leaf for item in items.values() for leaf in item.leaves))
            weights = _read(items, plan, model)
            self._vocabularies.compare(model, partial(_vocabularies_in, items))
            return weights

    def _plan_for(self, model: Any, leaves: tuple[Leaf, ...]) -> _ReadPlan:
        """Match the model with the leaves, once for all steps of a training."""
        plan = self._plan
        if plan is None or plan.model() is not model or plan.leaves != leaves:
            self._plan = plan = _ReadPlan(weakref.ref(model), leaves, _match(leaves, model), counters(leaves))
        return plan


def _vocabularies_in(items: dict[str, Item]) -> list[SavedVocabulary]:
    """Read the vocabularies that layers have learned: Keras's callback saves their files beside the weights."""
    leaves = items[_ASSETS].leaves if _ASSETS in items else ()
    wanted = [leaf for leaf in leaves if leaf.keys[-1] == ASSET and INNER_LAYER not in leaf.keys]
    values = read_arrays(open_arrays([(items[_ASSETS], leaf.array) for leaf in wanted]))
    return [SavedVocabulary(value.tobytes().decode(), is_asset=True) for value in values]


def _match(leaves: Sequence[Leaf], model: Any) -> Match:
    """Match the variables to restore; if that fails, all weights that tf_keras saves, including those of metrics."""
    variables = variables_to_restore(model)
    restorable = match(leaves, _names(variables))
    if restorable.is_exact or len(variables) == len(model.weights):
        return _with_known_order(restorable, model)
    variable_ids, with_metrics = set(map(id, variables)), match(leaves, _names(model.weights))
    pairs = zip(with_metrics.leaves, model.weights, strict=True)
    kept = tuple(leaf for leaf, weight in pairs if id(weight) in variable_ids)
    return _with_known_order(replace(with_metrics, leaves=kept), model) if with_metrics.is_exact else restorable


def _with_known_order(matched: Match, model: Any) -> Match:
    if matched.is_by_order:
        require_known_order(model)
    return matched


def _names(variables: Sequence[Any]) -> list[str]:
    return [variable_name(variable).partition("@")[0] for variable in variables]


def _required_entries(handlers: Any) -> list[str]:
    """Return the files or directories that a step must contain, by the handlers that wrote its items."""
    named = (
        {f"{name}/": str(handler) for name, handler in handlers.items()}
        if isinstance(handlers, dict)
        else {"": str(handlers)}
    )
    return sorted(f"{name}{METADATA}" if _TREE_HANDLER.search(handler) else name for name, handler in named.items())


def _read(items: dict[str, Item], plan: _ReadPlan, model: Any) -> Weights:
    if not plan.leaves:
        raise CheckpointIncompatible("The step contains no tree of arrays; save the model's weights.")
    arrays = _open(items, plan.match.leaves)
    try:
        _require_compatible(plan.match, arrays, model)
    except CheckpointIncompatible as error:
        raise CheckpointIncompatible(f"{error} {_contents(plan.leaves)}") from error
    values = read_arrays([array for array in arrays if array is not None])
    return Weights(cast_to_variables(values, variables_to_restore(model)), _iterations(items, plan.counters))


def _contents(leaves: Sequence[Leaf]) -> str:
    """Say which keys a step has, so that a person recognises the tree that was saved."""
    keys = ["/".join(filter(None, (leaf.item, *leaf.keys)))[-_KEY_LENGTH:] for leaf in leaves]
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"The step contains {', '.join(keys[:_NAMED])}{more}."


def _open(items: dict[str, Item], leaves: Sequence[Leaf | None]) -> list[Any]:
    arrays = iter(open_arrays([(items[leaf.item], leaf.array) for leaf in leaves if leaf]))
    return [next(arrays) if leaf else None for leaf in leaves]


def _require_compatible(matched: Match, arrays: Sequence[Any], model: Any) -> None:
    pairs = zip(variables_to_restore(model), arrays, strict=True)
    shapes = {
        variable_name(variable): (tuple(variable.shape), tuple(array.shape) if array else None)
        for variable, array in pairs
    }
    require_compatible(shapes, matched.excess)


def _iterations(items: dict[str, Item], leaves: Sequence[Leaf]) -> int | None:
    """Return the largest counter: that of an optimizer that wraps another one stays at 0."""
    arrays = [array for array in _open(items, leaves) if array.shape == () and array.dtype.numpy_dtype.kind in "iu"]
    return max(map(int, read_arrays(arrays)), default=None)
