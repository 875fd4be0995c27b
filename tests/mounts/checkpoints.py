"""Real checkpoints of a small model, made once: two versions in every format, whose scores are known.

A test places a version under a name of its own, file by file as a training would, the file that completes it last.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mounts.training import model_factory, small_model
from unit.evaluator.support.models import dataset

Scores = dict[str, float]
_COMPLETES = ("/_CHECKPOINT_METADATA", ".index")
"""What makes a checkpoint whole: written last by Orbax and by TensorFlow."""


@dataclass(frozen=True)
class Version:
    """One checkpoint: what each file's name adds to the checkpoint's, its content, and what the model then scores.

    The names of the files that hold the weights match `pattern`.
    """

    files: dict[str, bytes]
    scores: Scores
    pattern: str

    @property
    def weights(self) -> dict[str, bytes]:
        """The files that hold the weights."""
        return {suffix: content for suffix, content in self.files.items() if fnmatchcase(suffix, self.pattern)}

    def place(self, folder: Path, name: str) -> None:
        """Write the checkpoint's files, one after the other."""
        for suffix, content in self.files.items():
            path = folder / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def remove(self, folder: Path, name: str) -> None:
        """Delete the checkpoint's files, as far as they are there."""
        for suffix in self.files:
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
        shutil.rmtree(folder / name, ignore_errors=True)


@dataclass(frozen=True)
class Specimens:
    """Two versions by the name of the format."""

    versions: dict[str, tuple[Version, Version]] = field(default_factory=dict)

    def of(self, format_name: str) -> tuple[Version, Version]:
        """Return both versions in a format."""
        return self.versions[format_name]


def make_specimens(folder: Path) -> Specimens:
    """Train a model a little, save it in every format; train on, save it again."""
    versions: dict[str, list[Version]] = {name: [] for name in SAVES}
    model = small_model(seed=1)
    for number in range(2):
        model.fit(dataset(1), shuffle=False, verbose=0)
        scores = model_factory().score(model)
        for name, save in SAVES.items():
            place = folder / f"{name}-{number}"
            place.mkdir()
            save(model, place)
            versions[name].append(Version(_files(place), scores, WEIGHTS[name]))
    return Specimens({name: (first, second) for name, (first, second) in versions.items()})


def _files(folder: Path) -> dict[str, bytes]:
    """Read the files of the checkpoint `saved`, in the order of writing."""
    paths = {str(path.relative_to(folder)).removeprefix("saved"): path for path in folder.rglob("*") if path.is_file()}
    ordered = sorted(paths, key=lambda suffix: (suffix.endswith(_COMPLETES), suffix))
    return {suffix: paths[suffix].read_bytes() for suffix in ordered}


def _save_tensorflow(model: Any, folder: Path) -> None:
    import tensorflow as tf

    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / "saved"))


def _save_weights(model: Any, folder: Path) -> None:
    model.save_weights(str(folder / "saved.weights.h5"))


def _save_keras(model: Any, folder: Path) -> None:
    model.save(str(folder / "saved.keras"))


def save_orbax(model: Any, folder: Path, epoch: int = 0) -> None:
    """Save a step as Keras's callback does."""
    saver = model_factory().keras.callbacks.OrbaxCheckpoint(str(folder))
    saver.set_model(model)
    saver.on_epoch_end(epoch, {})
    saver.on_train_end()


def _save_orbax(model: Any, folder: Path) -> None:
    save_orbax(model, folder)
    (folder / "0").rename(folder / "saved")


WEIGHTS = {
    "TensorFlow": ".data-*",
    "KerasWeights": ".weights.h5",
    "Keras": ".keras",
    "Orbax": "/pytree/ocdbt.process_0/d/*",
}

SAVES: dict[str, Callable[[Any, Path], None]] = {
    "TensorFlow": _save_tensorflow,
    "KerasWeights": _save_weights,
    "Keras": _save_keras,
    "Orbax": _save_orbax,
}
