"""TensorFlow checkpoints: `ckpt-7.index` and its data shards, `ckpt-7.data-00000-of-00001`.

They are written by `tf.train.CheckpointManager` and by tf_keras's `save_weights`, and are read for models of
Keras 3 and tf_keras. Only the model's variables are read, into host memory. The weights are a consistent
snapshot: the index has a checksum for every tensor, which TensorFlow verifies, and the index must be the same
before and after. `checkpoints.interface` says who calls which method.
"""

import re
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.compatibility import cast_to_variables, require_compatible, variable_name
from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, FileState, Weights
from sidecar_evaluator.checkpoints.model_variables import variables_to_restore
from sidecar_evaluator.checkpoints.snapshot import consistent_snapshot
from sidecar_evaluator.checkpoints.tensorflow.index import Bundle, Malformed, parse_index
from sidecar_evaluator.checkpoints.tensorflow.object_graph import GRAPH_KEY, Match, SavedGraph, Shapes
from sidecar_evaluator.checkpoints.vocabularies import VocabularyCheck
from sidecar_evaluator.errors import (
    CheckpointError,
    CheckpointIncompatible,
    CheckpointUnreadable,
    IterationsMissingError,
    first_line,
)

_INDEX = ".index"
_WITHOUT_GRAPH = (
    "It has no object graph, as checkpoints of tf.compat.v1.train.Saver: only names, not those of a Keras model. "
    "Save with tf.train.Checkpoint(model=model, optimizer=optimizer)."
)
_SHARD = re.compile(r"(?P<prefix>.+)\.data-(?P<index>\d{5})-of-(?P<count>\d{5})")


@dataclass(frozen=True)
class _ReadPlan:
    """The keys of a model's variables and of the iterations, in all checkpoints with the same object graph."""

    model: "weakref.ref[Any]"
    graph: bytes
    match: Match
    iterations: str | None

    def is_for(self, model: Any, graph: bytes) -> bool:
        return self.model() is model and self.graph == graph


class TensorFlow(CheckpointFormat):
    """Checkpoints of `tf.train.Checkpoint`."""

    name = "TensorFlow"
    has_checksums = True
    loading = (
        "tf.train.Checkpoint(model=model).restore(path).assert_existing_objects_matched()"
        "  # what tf_keras's save_weights wrote: model.load_weights(path)"
    )

    def __init__(self) -> None:
        self._plan: _ReadPlan | None = None
        self._vocabularies = VocabularyCheck()

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Claim index files and data shards; the temporary files of TensorFlow have other names."""
        if is_directory or name.startswith("."):
            return None
        if name.endswith(_INDEX):
            return name.removesuffix(_INDEX)
        shard = _SHARD.fullmatch(name)
        return shard["prefix"] if shard else None

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Create the checkpoint of an index and its shards; their names contain the number of shards."""
        states = tuple(files[file] for file in sorted(files) if self.claim(file, is_directory=False) == name)
        return Checkpoint(name, directory / name, self, states, _missing_files(name + _INDEX, states))

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Compare the shards with their number and sizes in the index: a copy may still be in progress."""
        try:
            bundle = parse_index(_index_path(checkpoint).read_bytes())
        except Malformed:
            return "its index file is not complete"
        except OSError as error:
            return f"its index file does not open: {first_line(error)}"
        return _incomplete_shards(bundle, _shards(checkpoint.files))

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read a value for each variable of the model, and the training iterations."""
        with consistent_snapshot(_index_path(checkpoint).read_bytes) as index, _copied_index(checkpoint, index) as path:
            return self._read(path, checkpoint, model)

    def _read(self, path: str, checkpoint: Checkpoint, model: Any) -> Weights:
        import tensorflow as tf

        reader = tf.train.load_checkpoint(path)
        dtypes = reader.get_variable_to_dtype_map()
        if GRAPH_KEY not in dtypes:
            raise CheckpointIncompatible(_WITHOUT_GRAPH)
        [graph] = _restore(path, [GRAPH_KEY], [tf.string])
        shapes = reader.get_variable_to_shape_map()
        plan = self._plan_for(model, graph.numpy(), shapes)
        if plan.iterations is None or shapes[plan.iterations] or not dtypes[plan.iterations].is_integer:
            raise IterationsMissingError(checkpoint.path)
        _require_compatible(plan.match, shapes, model)
        _require_same_tables(path, plan.match)
        self._vocabularies.compare(model)
        keys = [*map(str, plan.match.all_keys), plan.iterations]
        *tensors, iterations = _restore(path, keys, [dtypes[key] for key in keys])
        tf_variables = [variable for variable, _ in plan.match.tf_variables.values()]
        values = cast_to_variables(tensors, [*variables_to_restore(model), *tf_variables])
        count = len(plan.match.keys)
        return Weights(values[:count], int(iterations), list(zip(tf_variables, values[count:], strict=True)))

    def _plan_for(self, model: Any, graph: bytes, shapes: Shapes) -> _ReadPlan:
        """Match the model with the object graph, once for all checkpoints of a training."""
        plan = self._plan
        if plan is None or not plan.is_for(model, graph):
            saved = SavedGraph(graph)
            match = saved.match(model, shapes)
            self._plan = plan = _ReadPlan(weakref.ref(model), graph, match, saved.iterations_key(match))
        return plan


@contextmanager
def _copied_index(checkpoint: Checkpoint, content: bytes) -> Iterator[str]:
    """Yield a prefix that TensorFlow can open safely: a copy of the index and symbolic links to the data shards.

    If the index is overwritten while TensorFlow opens it, the process may crash; if the mount hangs, TensorFlow
    would hold the GIL.

    Raises CheckpointUnreadable: the index is being written.
    """
    try:
        parse_index(content)
    except Malformed as error:
        raise CheckpointUnreadable("Its index file is not complete.") from error
    with tempfile.TemporaryDirectory(prefix="index-") as folder:
        prefix = Path(folder, "checkpoint")
        prefix.with_suffix(_INDEX).write_bytes(content)
        for state in checkpoint.files:
            if shard := _SHARD.fullmatch(state.name):
                link = prefix.with_suffix(state.name.removeprefix(shard["prefix"]))
                link.symlink_to(checkpoint.path.parent.absolute() / state.name)
        try:
            yield str(prefix)
        except (CheckpointError, IterationsMissingError):
            raise
        except Exception as error:
            message = first_line(error).replace(str(prefix), str(checkpoint.path))
            raise CheckpointUnreadable(message) from error


def _require_compatible(match: Match, saved_shapes: dict[str, Sequence[int]], model: Any) -> None:
    weights = zip(variables_to_restore(model), match.keys, strict=True)
    named = [(variable_name(variable), variable, key) for variable, key in weights]
    named += [(name, variable, key) for name, (variable, key) in match.tf_variables.items()]
    shapes = {name: (tuple(variable.shape), tuple(saved_shapes[key]) if key else None) for name, variable, key in named}
    require_compatible(shapes, match.excess)


def _require_same_tables(path: str, match: Match) -> None:
    for name, (table, key) in match.tables.items():
        saved = _restore(path, [f"{key}-keys", f"{key}-values"], [table.key_dtype, table.value_dtype])
        if _content(*saved) != _content(*table.export()):
            raise CheckpointIncompatible(
                f"The content of the lookup table {name} differs from that of the entry point's model, and tables are "
                "not restored; store the values in a variable."
            )


def _content(keys: Any, values: Any) -> dict[str, Any]:
    pairs = zip(keys.numpy().tolist(), values.numpy().tolist(), strict=True)
    return {str(key): value for key, value in pairs}


def _restore(path: str, keys: list[str], dtypes: list[Any]) -> list[Any]:
    """Read tensors with the op that reads large ones in several threads; a variable can adopt them without a copy.

    Unlike the Python checkpoint reader it does not hold the GIL: otherwise a mount that hangs would block every
    thread, including the one that serves metrics.
    """
    import tensorflow as tf

    with tf.device("CPU:0"):
        return list(
            tf.raw_ops.RestoreV2(prefix=path, tensor_names=keys, shape_and_slices=[""] * len(keys), dtypes=dtypes)
        )


def _index_path(checkpoint: Checkpoint) -> Path:
    return checkpoint.path.with_name(checkpoint.name + _INDEX)


def _shards(files: Sequence[FileState]) -> dict[int, dict[int, FileState]]:
    """Group data shards by the number of shards in their names, then by their index."""
    shards: dict[int, dict[int, FileState]] = {}
    for state in files:
        if match := _SHARD.fullmatch(state.name):
            shards.setdefault(int(match["count"]), {})[int(match["index"])] = state
    return shards


def _missing_files(index: str, files: Sequence[FileState]) -> str:
    if not any(state.name == index and state.size for state in files):
        return "its index file is missing"
    shards = _shards(files)
    if not shards:
        return "its data shards are missing"
    if any(len(present) == count for count, present in shards.items()):
        return ""
    return _missing_shards(*max(shards.items()))


def _missing_shards(count: int, present: dict[int, FileState]) -> str:
    return f"{count - len(present)} of its {count} data shards are missing"


def _incomplete_shards(bundle: Bundle | None, shards: dict[int, dict[int, FileState]]) -> str:
    if bundle is None:
        return ""
    present = shards.get(bundle.shard_count, {})
    if len(present) < bundle.shard_count:
        return _missing_shards(bundle.shard_count, present)
    short = [number for number, size in bundle.shard_sizes.items() if present[number].size < size]
    return f"{len(short)} of its {bundle.shard_count} data shards are not written to the end" if short else ""
