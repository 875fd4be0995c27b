"""Orbax steps: directories such as `7` or `step_0007`, written by Keras's OrbaxCheckpoint or by Orbax itself.

Orbax renames a step into place, or marks it as committed where a file system cannot rename. A step
that was copied may be there in part only, so that its files are measured against what its own
tables say. It is read with tensorstore alone: Orbax would bring JAX, which takes a GPU's memory.
Only the model's own variables are read, and the iterations where they were saved.
"""

import json
import re
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.compatibility import name_of, require_same, same_types
from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, Weights
from sidecar_evaluator.checkpoints.model_variables import restored_variables
from sidecar_evaluator.checkpoints.orbax.arrays import METADATA, Item, items_of, missing_files, open_arrays, read_arrays
from sidecar_evaluator.checkpoints.orbax.tree import Leaf, Match, counters, match
from sidecar_evaluator.checkpoints.snapshot import of_one_save
from sidecar_evaluator.errors import CheckpointIncompatible, first_line

_NAME = re.compile(r"(?:[^.].*_)?\d+")
_TEMPORARY = ".orbax-checkpoint-tmp"
_STEP, _COMMITTED = "_CHECKPOINT_METADATA", "commit_success.txt"
_OWN_FILES = (_STEP, _COMMITTED, METADATA, "manifest.ocdbt")
_TREE_HANDLER = re.compile(r"PyTree|StandardCheckpoint")  # Orbax names the class that wrote an item
_MARKS = {*_OWN_FILES, "pytree", "default", "ocdbt.process_0"}


@dataclass(frozen=True)
class _Plan:
    """Where a model and its iterations are, in all steps with the same leaves."""

    model: "weakref.ref[Any]"
    leaves: tuple[Leaf, ...]
    match: Match
    counters: Sequence[Leaf]


class Orbax(CheckpointFormat):
    """Step directories of Orbax."""

    name = "Orbax"
    loading = "model.load_weights(pathlib.Path(path).resolve().parent)"
    depth = 2  # what is in a step tells it from other directories that are named by a number

    def __init__(self) -> None:
        self._plan: _Plan | None = None

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Claim directories that are named by a number, alone or after a prefix and `_`."""
        return name if is_directory and _TEMPORARY not in name and _NAME.fullmatch(name) else None

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Make a checkpoint of the files that mark a step; without files it is no step of Orbax at all."""
        present = {file.removeprefix(name + "/"): state for file, state in files.items()}
        own = [present[file] for file in _OWN_FILES if file in present] or list(present.values())
        states = () if _MARKS.isdisjoint(present) else tuple(own)
        return Checkpoint(name, directory / name, self, states, "" if _STEP in present else f"its {_STEP} is missing")

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Measure the files of a step against its tables."""
        try:
            step = json.loads((checkpoint.path / _STEP).read_bytes())
            if not step.get("commit_timestamp_nsecs") and not (checkpoint.path / _COMMITTED).is_file():
                return "it is not committed yet"
            lacking = [file for file in _needed(step["item_handlers"]) if not (checkpoint.path / file).exists()]
            if lacking:
                return f"its {lacking[0]} is missing"
            return next(filter(None, map(missing_files, items_of(checkpoint.path))), "")
        except Exception as error:  # tensorstore tells damage by errors of several types
            return f"it is not whole: {first_line(error)}"

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read a value for each variable of the model, and the iterations where they were saved."""
        with of_one_save((checkpoint.path / _STEP).read_bytes):  # it tells the nanosecond of the save
            items = {item.name: item for item in items_of(checkpoint.path)}
            plan = self._plan_for(model, tuple(leaf for item in items.values() for leaf in item.leaves))
            return _read(items, plan, model)

    def _plan_for(self, model: Any, leaves: tuple[Leaf, ...]) -> _Plan:
        """Match model and leaves, once for all the steps of a training."""
        plan = self._plan
        if plan is None or plan.model() is not model or plan.leaves != leaves:
            self._plan = plan = _Plan(weakref.ref(model), leaves, _match(leaves, model), counters(leaves))
        return plan


def _match(leaves: Sequence[Leaf], model: Any) -> Match:
    """Match what is restored, or all the weights that tf_keras would save, those of metrics among them."""
    restored = restored_variables(model)
    found = match(leaves, _names(restored))
    if found.is_exact or len(restored) == len(model.weights):
        return found
    own, whole = set(map(id, restored)), match(leaves, _names(model.weights))
    kept = (leaf for leaf, each in zip(whole.leaves, model.weights, strict=True) if id(each) in own)
    return Match(tuple(kept), ()) if whole.is_exact else found


def _names(variables: Sequence[Any]) -> list[str]:
    return [name_of(variable).partition("@")[0] for variable in variables]


def _needed(handlers: Any) -> list[str]:
    """Return the files or folders that a step must have for each of its items, by what wrote them."""
    named = (
        {f"{name}/": str(handler) for name, handler in handlers.items()}
        if isinstance(handlers, dict)
        else {"": str(handlers)}
    )
    return sorted(f"{name}{METADATA}" if _TREE_HANDLER.search(handler) else name for name, handler in named.items())


def _read(items: dict[str, Item], plan: _Plan, model: Any) -> Weights:
    if not plan.leaves:
        raise CheckpointIncompatible("The step holds no tree of arrays; save the model's weights.")
    arrays = _opened(items, plan.match.leaves)
    _require_fit(plan.match, arrays, model)
    values = read_arrays([array for array in arrays if array is not None])
    return Weights(same_types(values, restored_variables(model)), _iterations(items, plan.counters))


def _opened(items: dict[str, Item], leaves: Sequence[Leaf | None]) -> list[Any]:
    arrays = iter(open_arrays([(items[leaf.item], leaf.array) for leaf in leaves if leaf]))
    return [next(arrays) if leaf else None for leaf in leaves]


def _require_fit(found: Match, arrays: Sequence[Any], model: Any) -> None:
    pairs = zip(restored_variables(model), arrays, strict=True)
    shapes = {name_of(each): (tuple(each.shape), tuple(array.shape) if array else None) for each, array in pairs}
    require_same(shapes, found.excess)


def _iterations(items: dict[str, Item], leaves: Sequence[Leaf]) -> int | None:
    """Return the largest counter: around another optimizer, Keras's own stays at 0."""
    arrays = [array for array in _opened(items, leaves) if array.shape == () and array.dtype.numpy_dtype.kind in "iu"]
    return max(map(int, read_arrays(arrays)), default=None)
