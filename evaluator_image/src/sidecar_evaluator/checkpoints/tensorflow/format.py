"""TensorFlow's checkpoint format: `ckpt-7.index` and the data shards that its names count.

Read for models of either Keras: those saved by a CheckpointManager, and those saved by tf_keras's
`save_weights`. Only the model's own variables are read, into host memory. What is read is of one
save: the index holds a checksum of every tensor, which TensorFlow verifies, and its bytes must be
the same before and after.
"""

import re
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.compatibility import name_of, require_same, same_types
from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, FileState, Weights
from sidecar_evaluator.checkpoints.model_variables import restored_variables
from sidecar_evaluator.checkpoints.snapshot import of_one_save
from sidecar_evaluator.checkpoints.tensorflow.index import Bundle, Malformed, parse_index
from sidecar_evaluator.checkpoints.tensorflow.object_graph import GRAPH_KEY, Match, SavedGraph
from sidecar_evaluator.errors import (
    CheckpointError,
    CheckpointIncompatible,
    CheckpointUnreadable,
    IterationsMissingError,
    first_line,
)

_INDEX = ".index"
_SHARD = re.compile(r"(?P<prefix>.+)\.data-(?P<index>\d{5})-of-(?P<count>\d{5})")


@dataclass(frozen=True)
class _Plan:
    """Where a model and its iterations are, in all checkpoints with the same object graph."""

    model: "weakref.ref[Any]"
    graph: bytes
    match: Match
    iterations: str | None

    def fits(self, model: Any, graph: bytes) -> bool:
        return self.model() is model and self.graph == graph


class TensorFlow(CheckpointFormat):
    """Checkpoints of tf.train.Checkpoint."""

    name = "TensorFlow"
    loading = (
        "tf.train.Checkpoint(model=model).restore(path).assert_existing_objects_matched()"
        "  # what tf_keras's save_weights wrote: model.load_weights(path)"
    )

    def __init__(self) -> None:
        self._plan: _Plan | None = None

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        """Claim index files and data shards; what TensorFlow has yet to rename is named differently."""
        if is_directory or name.startswith("."):
            return None
        if name.endswith(_INDEX):
            return name.removesuffix(_INDEX)
        shard = _SHARD.fullmatch(name)
        return shard["prefix"] if shard else None

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        """Make a checkpoint of its index and its shards, which are counted by their names."""
        own = tuple(files[each] for each in sorted(files) if self.claim(each, is_directory=False) == name)
        return Checkpoint(name, directory / name, self, own, _missing(name + _INDEX, own))

    def inspect(self, checkpoint: Checkpoint) -> str:
        """Compare the shards with what the index says of them; a copy may have come only in part."""
        try:
            bundle = parse_index(_index(checkpoint).read_bytes())
        except Malformed:
            return "its index file is not whole"
        except OSError as error:
            return f"its index file does not open: {first_line(error)}"
        return _lacks(bundle, _shards(checkpoint.files))

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        """Read a value for each variable of the model, and the training iterations."""
        with of_one_save(_index(checkpoint).read_bytes) as index, _own_index(checkpoint, index) as path:
            return self._read(path, checkpoint, model)

    def _read(self, path: str, checkpoint: Checkpoint, model: Any) -> Weights:
        import tensorflow as tf

        reader = tf.train.load_checkpoint(path)
        dtypes = reader.get_variable_to_dtype_map()
        [graph] = _restore(path, [GRAPH_KEY], [tf.string])
        plan = self._plan_for(model, graph.numpy())
        if plan.iterations is None:
            raise IterationsMissingError(checkpoint.path)
        _require_fit(plan.match, reader.get_variable_to_shape_map(), model)
        _require_tables(path, plan.match)
        keys = [*map(str, plan.match.all_keys), plan.iterations]
        *found, iterations = _restore(path, keys, [dtypes[key] for key in keys])
        others = [variable for variable, _ in plan.match.others.values()]
        values = same_types(found, [*restored_variables(model), *others])
        own = len(plan.match.keys)
        return Weights(values[:own], int(iterations), list(zip(others, values[own:], strict=True)))

    def _plan_for(self, model: Any, graph: bytes) -> _Plan:
        """Walk model and graph together, once for all the checkpoints of a training."""
        plan = self._plan
        if plan is None or not plan.fits(model, graph):
            saved = SavedGraph(graph)
            self._plan = plan = _Plan(weakref.ref(model), graph, saved.match(model), saved.iterations_key())
        return plan


@contextmanager
def _own_index(checkpoint: Checkpoint, content: bytes) -> Iterator[str]:
    """Yield a prefix that TensorFlow opens: a copy of the index, beside links to the data shards.

    An index that is written again while TensorFlow opens it takes the whole process down, and one on a mount
    that hangs would keep Python's lock.

    Raises CheckpointUnreadable: the index is being written.
    """
    try:
        parse_index(content)
    except Malformed as error:
        raise CheckpointUnreadable("Its index file is not whole.") from error
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


def _require_fit(match: Match, shapes: dict[str, Sequence[int]], model: Any) -> None:
    own = [(name_of(each), each, key) for each, key in zip(restored_variables(model), match.keys, strict=True)]
    others = [(place, each, key) for place, (each, key) in match.others.items()]
    found = {name: (tuple(each.shape), tuple(shapes[key]) if key else None) for name, each, key in own + others}
    require_same(found, match.excess)


def _require_tables(path: str, match: Match) -> None:
    for place, (table, key) in match.tables.items():
        saved = _restore(path, [f"{key}-keys", f"{key}-values"], [table.key_dtype, table.value_dtype])
        if _content(*saved) != _content(*table.export()):
            raise CheckpointIncompatible(
                f"The lookup table {place} holds something else than the entry point's, and is not read; keep what it "
                "holds in a variable."
            )


def _content(keys: Any, values: Any) -> dict[str, Any]:
    pairs = zip(keys.numpy().tolist(), values.numpy().tolist(), strict=True)
    return {str(key): value for key, value in pairs}


def _restore(path: str, keys: list[str], dtypes: list[Any]) -> list[Any]:
    """Read tensors by the operation that reads large ones in several threads; a variable takes them without a copy.

    Unlike the checkpoint's reader it does not hold Python's lock, with which a mount that hangs would
    stop every thread, the one included that publishes it.
    """
    import tensorflow as tf

    with tf.device("CPU:0"):
        return list(
            tf.raw_ops.RestoreV2(prefix=path, tensor_names=keys, shape_and_slices=[""] * len(keys), dtypes=dtypes)
        )


def _index(checkpoint: Checkpoint) -> Path:
    return checkpoint.path.with_name(checkpoint.name + _INDEX)


def _shards(files: Sequence[FileState]) -> dict[int, dict[int, FileState]]:
    """Group data shards by the count that their names tell, then by their index."""
    shards: dict[int, dict[int, FileState]] = {}
    for state in files:
        if match := _SHARD.fullmatch(state.name):
            shards.setdefault(int(match["count"]), {})[int(match["index"])] = state
    return shards


def _missing(index: str, files: Sequence[FileState]) -> str:
    if not any(state.name == index and state.size for state in files):
        return "its index file is missing"
    shards = _shards(files)
    if not shards:
        return "its data shards are missing"
    if any(len(present) == count for count, present in shards.items()):
        return ""
    return _absent(*max(shards.items()))


def _absent(count: int, present: dict[int, FileState]) -> str:
    return f"{count - len(present)} of its {count} data shards are missing"


def _lacks(bundle: Bundle | None, shards: dict[int, dict[int, FileState]]) -> str:
    if bundle is None:
        return ""
    present = shards.get(bundle.shard_count, {})
    if len(present) < bundle.shard_count:
        return _absent(bundle.shard_count, present)
    short = [number for number, size in bundle.shard_sizes.items() if present[number].size < size]
    return f"{len(short)} of its {bundle.shard_count} data shards are not written to the end" if short else ""
