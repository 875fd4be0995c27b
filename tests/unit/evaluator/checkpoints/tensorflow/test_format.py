"""TensorFlow checkpoints: when one is complete, and that its weights are a consistent snapshot."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow
from sidecar_evaluator.errors import CheckpointError, CheckpointIncompatible, CheckpointUnreadable
from unit.evaluator.support import saving
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import files_in, is_same, look, only, read
from unit.evaluator.support.models import ModelFactory

INDEX, SHARD = "ckpt-1.index", "ckpt-1.data-00000-of-00001"


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["ckpt-1.index", "ckpt-1.data-00000-of-00001"], ""),
        (["ckpt-1.index", "ckpt-1.data-00000-of-00002", "ckpt-1.data-00001-of-00002"], ""),
        (["ckpt-1.index", "ckpt-1.data-00000-of-00001", "ckpt-1.data-00000-of-00002"], ""),
        (["ckpt-1.index", "ckpt-1.data-00001-of-00002"], "1 of its 2 data shards are missing"),
        (["ckpt-1.index"], "its data shards are missing"),
        (["ckpt-1.data-00000-of-00001"], "its index file is missing"),
    ],
)
def test_a_tensorflow_checkpoint_has_an_index_and_every_shard(names: list[str], missing: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    checkpoint = TensorFlow().assemble(tmp_path, "ckpt-1", files_in(tmp_path))
    assert (checkpoint.name, checkpoint.path, checkpoint.missing) == ("ckpt-1", tmp_path / "ckpt-1", missing)
    assert [state.name for state in checkpoint.files] == sorted(names)


@pytest.mark.parametrize("content", [b"", b"no table of TensorFlow's"])
def test_an_index_that_is_no_table_is_half_written(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ckpt-1.index").write_bytes(content)
    (tmp_path / "ckpt-1.data-00000-of-00001").write_bytes(b"x")
    assert look(TensorFlow(), directory=tmp_path)["ckpt-1"].missing.startswith("its index file is")


@pytest.mark.parametrize(("index", "shard"), [("old", "new"), ("new", "old")])
def test_an_index_and_a_shard_of_two_saves_are_unreadable(
    index: str, shard: str, factory: ModelFactory, tmp_path: Path
) -> None:
    """As between the two renames of a save that replaces an older one; both shards have the same size."""
    saved = factory.model()
    for seed, name in enumerate(("old", "new", "mix")):
        (tmp_path / name).mkdir()
        saving.tensorflow(randomized(saved, seed), tmp_path / name)
    shutil.copy(tmp_path / index / INDEX, tmp_path / "mix")
    shutil.copy(tmp_path / shard / SHARD, tmp_path / "mix")
    with pytest.raises(CheckpointUnreadable):
        read(TensorFlow(), tmp_path / "mix", factory.model())


def test_an_index_written_again_while_tensorflow_opens_it_does_no_harm(
    factory: ModelFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow may crash if the index is truncated while it opens it, so it must open a copy."""
    import tensorflow as tf

    opened: list[Path] = []
    really_open = tf.train.load_checkpoint

    def open_late(path: str) -> Any:
        opened.append(Path(path))
        (tmp_path / INDEX).write_bytes(b"")
        return really_open(path)

    monkeypatch.setattr(tf.train, "load_checkpoint", open_late)
    saving.tensorflow(randomized(factory.model()), tmp_path)
    with pytest.raises(CheckpointUnreadable, match="written again while it was read"):
        read(TensorFlow(), tmp_path, factory.model())
    assert not opened[0].parent.exists(), "the copy is deleted"


def test_a_flipped_byte_never_changes_a_score(factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = randomized(factory.model()), factory.model()
    saving.tensorflow(saved, tmp_path)
    reader = TensorFlow()
    checkpoint = only(reader, tmp_path)
    results = [_read_flipped(checkpoint, path, model) for path in (tmp_path / INDEX, tmp_path / SHARD)]
    damaged = [weights for file_results in results for weights in file_results]
    assert all(weights is None or is_same(weights, saved.get_weights()) for weights in damaged)
    assert sum(weights is None for weights in damaged) > len(damaged) // 3  # the rest belongs to the optimizer


def _read_flipped(checkpoint: Any, path: Path, model: Any) -> Iterator[Weights | None]:
    whole = path.read_bytes()
    for position in random.Random(1).sample(range(len(whole)), 60):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            yield read_checkpoint(checkpoint, model)
        except CheckpointError:
            yield None
    path.write_bytes(whole)


def test_every_shard_is_read_and_measured(factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = randomized(factory.model(depth=3)), factory.model(depth=3)
    saving.write(tmp_path, shard_bytes=600, model=saved, optimizer=saved.optimizer)
    shards = sorted(tmp_path.glob("*.data-*"))
    assert len(shards) > 3
    assert is_same(read(TensorFlow(), tmp_path, model), saved.get_weights())
    for shard in shards:
        whole = shard.read_bytes()
        shard.write_bytes(whole[:-1])
        (checkpoint,) = look(TensorFlow(), directory=tmp_path).values()
        assert checkpoint.missing == f"1 of its {len(shards)} data shards are not written to the end"
        shard.write_bytes(whole)


def test_a_checkpoint_of_tensorflow_1_is_called_by_its_name(tmp_path: Path) -> None:
    """Its variables have names, but no object graph says to which layers they belong; trying again cannot help."""
    saving.tensorflow_1(tmp_path)
    checkpoint = look(TensorFlow(), directory=tmp_path)["model-7"]
    with pytest.raises(CheckpointIncompatible, match=r"no object graph.* tf\.compat\.v1\.train\.Saver.* Save with tf"):
        read_checkpoint(checkpoint, object())
