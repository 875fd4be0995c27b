"""Real checkpoints of a small model, made once: two versions in every format, whose scores are known.

A test places a version under a name of its own, file by file as a training would, the file that completes it last.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mounts.training import kit, small_model
from unit.evaluator.models import dataset

Scores = dict[str, float]


@dataclass(frozen=True)
class Version:
    """One checkpoint: what each file's name adds to the checkpoint's, its content, and what the model then scores."""

    files: dict[str, bytes]
    scores: Scores

    def place(self, folder: Path, name: str) -> None:
        """Write the checkpoint's files, one after the other."""
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in self.files.items():
            (folder / f"{name}{suffix}").write_bytes(content)


@dataclass(frozen=True)
class Specimens:
    """Two versions by the name of the format; `large` is the suffix of the file that holds the weights."""

    versions: dict[str, tuple[Version, Version]] = field(default_factory=dict)

    def of(self, format_name: str) -> tuple[Version, Version]:
        """Return both versions in a format."""
        return self.versions[format_name]


def make_specimens(folder: Path) -> Specimens:
    """Train a model a little, save it in every format; train on, save it again."""
    made: dict[str, list[Version]] = {name: [] for name in SAVES}
    model = small_model(seed=1)
    for _ in range(2):
        model.fit(dataset(1), shuffle=False, verbose=0)
        scores = kit().score(model)
        for name, save in SAVES.items():
            place = folder / name
            place.mkdir()
            save(model, place)
            made[name].append(Version(_files(place), scores))
            place.rename(folder / f"{name}-{len(made[name])}")
    return Specimens({name: (first, second) for name, (first, second) in made.items()})


def _files(folder: Path) -> dict[str, bytes]:
    """Read the files of the checkpoint `saved`; TensorFlow's index completes it, so it comes last."""
    names = sorted(path.name for path in folder.glob("saved*"))
    return {name.removeprefix("saved"): (folder / name).read_bytes() for name in names}


def _save_tensorflow(model: Any, folder: Path) -> None:
    import tensorflow as tf

    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / "saved"))


def _save_weights(model: Any, folder: Path) -> None:
    model.save_weights(str(folder / "saved.weights.h5"))


def _save_keras(model: Any, folder: Path) -> None:
    model.save(str(folder / "saved.keras"))


SAVES: dict[str, Callable[[Any, Path], None]] = {
    "TensorFlow": _save_tensorflow,
    "KerasWeights": _save_weights,
    "Keras": _save_keras,
}

LARGE = {"TensorFlow": ".data-00000-of-00001", "KerasWeights": ".weights.h5", "Keras": ".keras"}
"""The file of each format that holds the weights."""
