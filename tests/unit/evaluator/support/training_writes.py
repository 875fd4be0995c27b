"""What training code writes into a directory, by the row of the table in docs/formats.md that speaks of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unit.evaluator.support import saving
from unit.evaluator.support.trees import nested

Write = Callable[[Any, Any, Path], object]
"""Called with Keras, a model that was trained, and the directory."""


def by_callback(name: str, epoch: int = 6, **options: Any) -> Write:
    """Call ModelCheckpoint at the end of an epoch, as `fit` does."""

    def write(keras: Any, model: Any, directory: Path) -> None:
        saver = keras.callbacks.ModelCheckpoint(str(directory / name), **options)
        saver.set_model(model)
        saver.set_params({"epochs": epoch + 1})
        saver.on_train_begin()
        saver.on_epoch_begin(epoch)
        saver.on_epoch_end(epoch, {"val_loss": 0.25})
        saver.on_train_end()

    return write


def by_batches(keras: Any, model: Any, directory: Path) -> None:
    """Call ModelCheckpoint after so many batches, as `fit` does."""
    saver = keras.callbacks.ModelCheckpoint(
        str(directory / "{epoch:02d}-{batch:04d}.weights.h5"), save_weights_only=True, save_freq=100
    )
    saver.set_model(model)
    saver.on_train_begin()
    saver.on_epoch_begin(6)
    saver.on_train_batch_begin(99)
    saver.on_train_batch_end(99, {})


def by_manager(keras: Any, model: Any, directory: Path) -> None:
    import tensorflow as tf

    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=5).save(7)


def without_an_optimizer(keras: Any, model: Any, directory: Path) -> None:
    saving.write(directory, model=keras.Sequential(model.layers))


def with_a_step(keras: Any, model: Any, directory: Path) -> None:
    import tensorflow as tf

    saving.write(directory, model=model, step=tf.Variable(7))


def nested_in_a_checkpoint(keras: Any, model: Any, directory: Path) -> None:
    import tensorflow as tf

    saving.write(directory, state=tf.train.Checkpoint(net=model, optimizer=model.optimizer))


def with_another_model(keras: Any, model: Any, directory: Path) -> None:
    critic = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    saving.write(directory, generator=model, critic=critic, optimizer=model.optimizer)


def backup(keras: Any, model: Any, directory: Path) -> None:
    saver = keras.callbacks.BackupAndRestore(str(directory), delete_checkpoint=False)
    saver.set_model(model)
    saver.on_train_begin()
    saver.on_epoch_end(6)
    saver.on_train_end()


def averaged(keras: Any, model: Any, directory: Path) -> None:
    """Save what a SwapEMAWeights has swapped in at the end of an epoch."""
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    swap.set_model(model)
    swap.set_params({"epochs": 9})
    swap.on_epoch_end(6)
    saving.weights_file(model, directory)


TRAINING_WRITES: dict[tuple[str, str], Write] = {
    ('`ModelCheckpoint("ckpt-{epoch}.weights.h5", save_weights_only=True)`', "both"): by_callback(
        "ckpt-{epoch}.weights.h5", save_weights_only=True
    ),
    ('`ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.keras")`', "both"): by_callback("{epoch:02d}-{val_loss:.2f}.keras"),
    ('`ModelCheckpoint("{epoch:02d}-{batch:04d}.weights.h5", save_weights_only=True, save_freq=100)`', "both"): (
        by_batches
    ),
    ('`ModelCheckpoint("best.keras", save_best_only=True)`', "both"): by_callback("best.keras", save_best_only=True),
    ('`ModelCheckpoint("ckpt-{epoch}", save_weights_only=True)`', "tf_keras"): by_callback(
        "ckpt-{epoch}", save_weights_only=True
    ),
    ('`ModelCheckpoint("ckpt-{epoch}")`', "tf_keras"): by_callback("ckpt-{epoch}"),
    ('`ModelCheckpoint("ckpt-{epoch}.h5")`', "both"): by_callback("ckpt-{epoch}.h5"),
    ("`BackupAndRestore`", "keras"): backup,
    ("`BackupAndRestore`", "tf_keras"): backup,
    ("`CheckpointManager` of `tf.train.Checkpoint(model=model, optimizer=optimizer)`", "both"): by_manager,
    ("`tf.train.Checkpoint(model=model, step=step)`", "both"): with_a_step,
    ("`tf.train.Checkpoint(model=model)` of a compiled model", "both"): lambda keras, model, directory: saving.write(
        directory, model=model
    ),
    ("`tf.train.Checkpoint(model=model)` of a model that is not compiled", "both"): without_an_optimizer,
    (
        "`tf.train.Checkpoint(state=tf.train.Checkpoint(net=model, optimizer=optimizer))`",
        "both",
    ): nested_in_a_checkpoint,
    ("`tf.train.Checkpoint(generator=model, critic=other, …)`", "both"): with_another_model,
    ("a TensorFlow checkpoint in several shards", "both"): lambda keras, model, directory: saving.write(
        directory, shard_bytes=64, model=model, optimizer=model.optimizer
    ),
    ("`tf.compat.v1.train.Saver`", "both"): lambda keras, model, directory: saving.tensorflow_1(directory),
    ('`save_weights("ckpt-1.weights.json", max_shard_size=1)`', "keras"): lambda keras, model, directory: (
        model.save_weights(str(directory / "ckpt-1.weights.json"), max_shard_size=1.5e-7)
    ),
    ('`model.export("export")`', "both"): lambda keras, model, directory: model.export(str(directory / "export")),
    ('`np.savez("ckpt-1.npz", *model.get_weights())`', "both"): lambda keras, model, directory: np.savez(
        str(directory / "ckpt-1.npz"), *model.get_weights()
    ),
    ("`Adam(use_ema=True)` and `SwapEMAWeights(swap_on_epoch=True)`", "keras"): averaged,
    ("a model with `enable_lora`, in a weights file", "keras"): lambda keras, model, directory: saving.weights_file(
        model, directory
    ),
    ('a model after `quantize("int8")`, in a weights file', "keras"): lambda keras, model, directory: (
        saving.weights_file(model, directory)
    ),
    ("such a model, which the entry point does not `quantize`", "keras"): lambda keras, model, directory: (
        saving.weights_file(model, directory)
    ),
    ("`OrbaxCheckpoint` of Keras", "keras"): lambda keras, model, directory: saving.orbax_callback(model, directory),
    ("Orbax, a tree by the paths of variables, as JAX code saves it", "both"): lambda keras, model, directory: (
        saving.orbax_manager({"params": nested(model), "step": 7}, directory)
    ),
    ("Orbax, a tree without the model", "both"): lambda keras, model, directory: saving.orbax_manager(
        {"state": {"mu": np.zeros(3), "nu": np.zeros(3)}, "step": 7}, directory
    ),
}
