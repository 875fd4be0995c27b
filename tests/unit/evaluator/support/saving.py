"""Saves models as a training does, in each format that the evaluator reads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import CheckpointFormat
from sidecar_evaluator.checkpoints.keras.archive import KerasArchive
from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.checkpoints.orbax.format import Orbax
from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow


@dataclass(frozen=True)
class Saver:
    """A format, and a function that saves a model and its optimizer in it, with a number in the name."""

    format: Callable[[], CheckpointFormat]
    save: Callable[[Any, Path, int], None]
    keras3_only: bool = False

    def __str__(self) -> str:
        return str(self.format().name)


def tensorflow(model: Any, directory: Path, number: int = 1) -> None:
    optimizer = getattr(model, "optimizer", None)
    objects = {"model": model} if optimizer is None else {"model": model, "optimizer": optimizer}
    write(directory, f"ckpt-{number}", **objects)


def write(directory: Path, name: str = "ckpt-1", *, shard_bytes: int = 0, **objects: Any) -> None:
    """Write a TensorFlow checkpoint of objects by name, in shards of at most so many bytes."""
    import tensorflow as tf

    sharding = tf.train.experimental.MaxShardSizePolicy(shard_bytes) if shard_bytes else None
    options = tf.train.CheckpointOptions(experimental_sharding_callback=sharding)
    tf.train.Checkpoint(**objects).write(str(directory / name), options=options)


def tensorflow_1(directory: Path, number: int = 7) -> None:
    """Write `model-7` as programs for TensorFlow 1 do."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable("dense/kernel", shape=(4, 2))
        session.run(variable.initializer)
        tf.compat.v1.train.Saver([variable]).save(session, str(directory / "model"), global_step=number)


def weights_file(model: Any, directory: Path, number: int = 1) -> None:
    model.save_weights(str(directory / f"ckpt-{number}.weights.h5"))


def archive(model: Any, directory: Path, number: int = 1) -> None:
    model.save(str(directory / f"ckpt-{number}.keras"))


def orbax_callback(model: Any, directory: Path, number: int = 1, **options: Any) -> None:
    """Call the callback as `fit` does, without training."""
    import keras

    saver = keras.callbacks.OrbaxCheckpoint(str(directory), **options)
    saver.set_model(model)
    saver.on_epoch_end(number, {})
    saver.on_train_end()


def orbax_manager(tree: Any, directory: Path, number: int = 1, **options: Any) -> None:
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(directory, options=ocp.CheckpointManagerOptions(**options)) as manager:
        manager.save(number, args=ocp.args.StandardSave(tree))
        manager.wait_until_finished()


SAVERS = (
    Saver(TensorFlow, tensorflow),
    Saver(KerasWeights, weights_file),
    Saver(KerasArchive, archive),
    Saver(Orbax, orbax_callback, keras3_only=True),
)
