"""TensorFlow's format: nothing of two saves, nothing damaged, and the model wherever it was saved."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.checkpoints.reader import read_whole
from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow
from sidecar_evaluator.checkpoints.tensorflow.index import Bundle, Malformed, parse_index
from sidecar_evaluator.engine.keras_model import KerasModel
from sidecar_evaluator.errors import CheckpointError, CheckpointIncompatible, CheckpointUnreadable
from unit.evaluator.support import architectures, saving
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, look, only, read
from unit.evaluator.support.models import Kit

INDEX, SHARD = "ckpt-1.index", "ckpt-1.data-00000-of-00001"


def write(directory: Path, name: str = "ckpt-1", *, shard_bytes: int = 0, **objects: Any) -> None:
    import tensorflow as tf

    sharding = tf.train.experimental.MaxShardSizePolicy(shard_bytes) if shard_bytes else None
    options = tf.train.CheckpointOptions(experimental_sharding_callback=sharding)
    tf.train.Checkpoint(**objects).write(str(directory / name), options=options)


@pytest.mark.parametrize(("index", "shard"), [("old", "new"), ("new", "old")])
def test_an_index_and_a_shard_of_two_saves_are_unreadable(index: str, shard: str, kit: Kit, tmp_path: Path) -> None:
    """Both shards have the same size: a swapped one, or the moment between the renames of a save over an old one."""
    saved = kit.model()
    for seed, name in enumerate(("old", "new", "mix")):
        (tmp_path / name).mkdir()
        saving.tensorflow(randomized(saved, seed), tmp_path / name)
    shutil.copy(tmp_path / index / INDEX, tmp_path / "mix")
    shutil.copy(tmp_path / shard / SHARD, tmp_path / "mix")
    with pytest.raises(CheckpointUnreadable):
        read(TensorFlow(), tmp_path / "mix", kit.model())


def test_an_index_written_again_while_tensorflow_opens_it_does_no_harm(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow may end the process over an index that is cut off under it, so it must never open the live one."""
    import tensorflow as tf

    opened: list[Path] = []
    really_open = tf.train.load_checkpoint

    def open_late(path: str) -> Any:
        opened.append(Path(path))
        (tmp_path / INDEX).write_bytes(b"")
        return really_open(path)

    monkeypatch.setattr(tf.train, "load_checkpoint", open_late)
    saving.tensorflow(randomized(kit.model()), tmp_path)
    with pytest.raises(CheckpointUnreadable, match="written again while it was read"):
        read(TensorFlow(), tmp_path, kit.model())
    assert not opened[0].parent.exists(), "the copy is taken away"


def test_a_flipped_byte_never_changes_a_score(kit: Kit, tmp_path: Path) -> None:
    saved, model = randomized(kit.model()), kit.model()
    saving.tensorflow(saved, tmp_path)
    reader = TensorFlow()
    checkpoint = only(reader, tmp_path)
    found = [_read_flipped(checkpoint, path, model) for path in (tmp_path / INDEX, tmp_path / SHARD)]
    damaged = [weights for each in found for weights in each]
    assert all(weights is None or is_same(weights, saved.get_weights()) for weights in damaged)
    assert sum(weights is None for weights in damaged) > len(damaged) // 3  # the rest belongs to the optimizer


def _read_flipped(checkpoint: Any, path: Path, model: Any) -> Iterator[Weights | None]:
    whole = path.read_bytes()
    for position in random.Random(1).sample(range(len(whole)), 60):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            yield read_whole(checkpoint, model)
        except CheckpointError:
            yield None
    path.write_bytes(whole)


def test_every_shard_is_read_and_measured(kit: Kit, tmp_path: Path) -> None:
    saved, model = randomized(kit.model(depth=3)), kit.model(depth=3)
    write(tmp_path, shard_bytes=600, model=saved, optimizer=saved.optimizer)
    shards = sorted(tmp_path.glob("*.data-*"))
    assert len(shards) > 3
    assert is_same(read(TensorFlow(), tmp_path, model), saved.get_weights())
    for shard in shards:
        whole = shard.read_bytes()
        shard.write_bytes(whole[:-1])
        (found,) = look(TensorFlow(), directory=tmp_path).values()
        assert found.missing == f"1 of its {len(shards)} data shards are not written to the end"
        shard.write_bytes(whole)


@pytest.mark.parametrize("build", [architectures.functional, architectures.wrapper], ids=["functional", "wrapper"])
def test_weights_may_be_saved_alone_or_under_any_name(build: Callable[[Kit], Any], kit: Kit, tmp_path: Path) -> None:
    saved = randomized(build(kit))
    for number, objects in enumerate(
        [{"net": saved, "opt": saved.optimizer}, {"model": saved, "opt": saved.optimizer}]
    ):
        write(tmp_path, f"ckpt-{number}", **objects)
    if not kit.is_keras3:
        saved.save_weights(str(tmp_path / "ckpt-7"), save_format="tf")
    reader, model = TensorFlow(), build(kit)
    found = look(reader, directory=tmp_path).values()
    assert len(found) == (2 if kit.is_keras3 else 3)
    assert all(is_same(read_whole(checkpoint, model), saved.get_weights()) for checkpoint in found)


def test_two_objects_that_could_be_the_model_are_refused(kit: Kit, tmp_path: Path) -> None:
    student, teacher = kit.model(), kit.model()
    write(tmp_path, student=student, teacher=teacher, optimizer=student.optimizer)
    with pytest.raises(CheckpointIncompatible, match=r"holds student, teacher.* save the one to evaluate as"):
        read(TensorFlow(), tmp_path, kit.model())


def in_a_list(*, normalized: bool = False) -> Any:
    """Build a model of Keras 3 whose layers TensorFlow does not see."""
    import keras

    class Listed(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            layers = [keras.layers.Dense(4) for _ in range(3)]
            self.blocks = [*layers, *([keras.layers.BatchNormalization()] if normalized else [])]

        def call(self, inputs: Any) -> Any:
            for block in self.blocks:
                inputs = block(inputs)
            return inputs

    model = Kit(keras).compiled(Listed())
    model(np.zeros((1, 4), "float32"))
    return model


def test_layers_in_a_list_are_found_through_the_optimizer_or_named(tmp_path: Path) -> None:
    saved = randomized(in_a_list())
    saving.tensorflow(saved, tmp_path)
    assert is_same(read(TensorFlow(), tmp_path, in_a_list()), saved.get_weights())
    saving.tensorflow(randomized(in_a_list(normalized=True)), tmp_path)
    with pytest.raises(CheckpointIncompatible, match="moving_mean is not in the checkpoint"):
        read(TensorFlow(), tmp_path, in_a_list(normalized=True))


def test_layers_in_a_list_are_told_apart_by_the_names_of_slots(tmp_path: Path) -> None:
    """The training gave its optimizer the variables in an order of its own."""
    import keras

    saved, optimizer = randomized(in_a_list()), keras.optimizers.Adam()
    optimizer.build([variable for block in reversed(saved.blocks) for variable in block.trainable_variables])
    write(tmp_path, model=saved, optimizer=optimizer)
    assert is_same(read(TensorFlow(), tmp_path, in_a_list()), saved.get_weights())


def test_an_index_tells_the_size_of_each_shard_and_is_noticed_when_it_is_cut_off(kit: Kit, tmp_path: Path) -> None:
    saving.tensorflow(kit.model(), tmp_path)
    index = (tmp_path / INDEX).read_bytes()
    assert parse_index(index) == Bundle(1, {0: (tmp_path / SHARD).stat().st_size})
    for length in range(len(index)):
        with pytest.raises(Malformed):
            parse_index(index[:length])


def test_no_byte_of_an_index_makes_it_loop_or_fail_otherwise(kit: Kit, tmp_path: Path) -> None:
    saving.tensorflow(kit.model(), tmp_path)
    index = (tmp_path / INDEX).read_bytes()
    for position in range(0, len(index), 7):
        try:
            parse_index(index[:position] + bytes([index[position] ^ 0xFF]) + index[position + 1 :])
        except Malformed:
            continue


def test_a_variable_takes_what_was_read_without_a_copy_and_never_changes_it(kit: Kit, tmp_path: Path) -> None:
    kit.save_by_manager(tmp_path)
    model = kit.model()
    held = KerasModel(model)
    weights = read(TensorFlow(), tmp_path, model)
    held.assign(weights, weights.iterations)
    kernel, saved = held.weights()[0], np.array(weights.values[0])
    assert np.shares_memory(np.asarray(kernel.read_value()), np.asarray(weights.values[0]))
    kernel.assign_add(np.ones_like(saved))
    assert np.array_equal(weights.values[0], saved)
    assert np.array_equal(kernel.numpy(), saved + 1)
