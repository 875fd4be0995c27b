"""How a training saves, in each format that the evaluator reads."""

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
    """A format, and what saves a model and its optimizer in it under a number."""

    format: Callable[[], CheckpointFormat]
    save: Callable[[Any, Path, int], None]
    keras3_only: bool = False

    def __str__(self) -> str:
        return str(self.format().name)


def tensorflow(model: Any, directory: Path, number: int = 1) -> None:
    import tensorflow as tf

    optimizer = getattr(model, "optimizer", None)
    others = {} if optimizer is None else {"optimizer": optimizer}
    tf.train.Checkpoint(model=model, **others).write(str(directory / f"ckpt-{number}"))


def weights_file(model: Any, directory: Path, number: int = 1) -> None:
    model.save_weights(str(directory / f"ckpt-{number}.weights.h5"))


def archive(model: Any, directory: Path, number: int = 1) -> None:
    model.save(str(directory / f"ckpt-{number}.keras"))


def orbax_callback(model: Any, directory: Path, number: int = 1, **options: Any) -> None:
    """Let the callback save as `fit` does, without training."""
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
