"""Small models and data for tests, with Keras 3 or tf_keras."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

BATCH = 16
EXAMPLES = 64


def arrays(seed: int = 0, examples: int = EXAMPLES) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(examples, 4)).astype("float32")
    return x, (x.sum(axis=1) > 0).astype("int32")


def dataset(seed: int = 0, examples: int = EXAMPLES) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(arrays(seed, examples)).batch(BATCH)


@dataclass(frozen=True)
class ModelFactory:
    """Builds, trains and saves small models with Keras 3 or tf_keras."""

    keras: Any

    @property
    def is_keras3(self) -> bool:
        return bool(self.keras.__name__ == "keras")

    def model(self, width: int = 8, *, depth: int = 1, frozen_statistics: bool = True, compiled: bool = True) -> Any:
        layers = self.keras.layers
        body = [layers.Dense(width, activation="relu") for _ in range(depth)]
        norm = [layers.BatchNormalization()] if frozen_statistics else []
        model = self.keras.Sequential([layers.Input((4,)), *body, *norm, layers.Dense(2)])
        return self.compiled(model) if compiled else model

    def subclassed(self) -> Any:
        layers = self.keras.layers

        class Subclassed(self.keras.Model):  # type: ignore[name-defined, misc]
            def __init__(self) -> None:
                super().__init__()
                self.first = layers.Dense(8, activation="relu")
                self.second = layers.Dense(2)

            def call(self, inputs: Any) -> Any:
                return self.second(self.first(inputs))

        return self.compiled(Subclassed())

    def compiled(self, model: Any, optimizer: Any = "adam", metrics: Any = ("accuracy",)) -> Any:
        loss = self.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss=loss, metrics=list(metrics), jit_compile=False)
        return model

    def save_by_manager(self, directory: Path, epochs: int = 1, build: Callable[[], Any] | None = None) -> list[Any]:
        """Train as a custom loop would; return the scores of each checkpoint."""
        if build is None:
            return _saved_once(self, ModelFactory.save_by_manager, epochs).place(directory)
        import tensorflow as tf

        model = build()
        checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
        manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=None)
        return self._train(model, epochs, lambda epoch: manager.save())

    def save_by_callback(self, directory: Path, epochs: int = 1, build: Callable[[], Any] | None = None) -> list[Any]:
        """Train with Model.fit and ModelCheckpoint; return the scores of each checkpoint."""
        if build is None:
            return _saved_once(self, ModelFactory.save_by_callback, epochs).place(directory)
        suffix = ".weights.h5" if self.is_keras3 else ""
        model = build()
        saver = self.keras.callbacks.ModelCheckpoint(str(directory / ("ckpt-{epoch}" + suffix)), save_weights_only=True)
        scores: list[Any] = []
        score = self.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: scores.append(self.score(model)))
        model.fit(dataset(1), epochs=epochs, shuffle=False, verbose=0, callbacks=[saver, score])
        return scores

    def score(self, model: Any) -> dict[str, float]:
        scores: dict[str, float] = model.evaluate(dataset(), verbose=0, return_dict=True)
        return scores

    def _train(self, model: Any, epochs: int, save: Callable[[int], object]) -> list[Any]:
        scores = []
        for epoch in range(1, epochs + 1):
            model.fit(dataset(1), shuffle=False, verbose=0)
            save(epoch)
            scores.append(self.score(model))
        return scores


@dataclass(frozen=True)
class Saved:
    """The files that a training of the usual model has written, oldest first, and the scores of its checkpoints."""

    files: dict[str, bytes]
    scores: list[dict[str, float]]

    def place(self, directory: Path) -> list[Any]:
        """Write the files; return the scores of each checkpoint."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (directory / name).write_bytes(content)
        return [dict(scores) for scores in self.scores]


@cache
def _saved_once(factory: ModelFactory, save: Callable[..., list[Any]], epochs: int) -> Saved:
    """Train the usual model: once in a process, since every test that starts from it may have the same."""
    with TemporaryDirectory() as folder:
        scores = save(factory, Path(folder), epochs, factory.model)
        paths = sorted(Path(folder).iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return Saved({path.name: path.read_bytes() for path in paths}, scores)
