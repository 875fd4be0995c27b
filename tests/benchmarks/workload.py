"""What is evaluated: models, data and checkpoints, the same for every side.

Groups call it in their own processes. Nothing is downloaded: images and labels are made from a seed, the labels so
that they can be learnt. A run's checkpoints lie in its scratch folder and are made once, when first asked for.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import processes

IMAGES = 10_000
BATCH = 100
SIDE = 28
CLASSES = 10
CHECKPOINTS = 22
TENSORFLOW = "TensorFlow"
KERAS_WEIGHTS = "KerasWeights"
KERASES = ("tf_keras", "keras")
WRITTEN_AS = {"tf_keras": "tf_keras", "keras": "Keras 3"}


def module(keras: str) -> Any:
    """Import Keras 3 or tf_keras."""
    return importlib.import_module(keras)


def images(count: int = IMAGES, seed: int = 0) -> tuple[Any, Any]:
    """Return so many images of one channel and their labels."""
    random = np.random.default_rng(seed)
    x = random.random((count, SIDE, SIDE, 1), dtype="float32")
    projection = np.random.default_rng(1).normal(size=(SIDE * SIDE, CLASSES))
    return x, (x.reshape(count, -1) @ projection).argmax(axis=1)


def dataset(x: Any, y: Any, batch: int = BATCH) -> Any:
    """Return arrays as a dataset in batches, as an entry point would."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y)).batch(batch)


def cnn(keras: Any) -> Any:
    """Return a small compiled convolutional network."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(CLASSES),
        ]
    )
    return compiled(keras, model, "adam")


def evaluation(keras: str, examples: int = IMAGES) -> Any:
    """Return the CNN and its data: the entry point of the evaluators that are measured."""
    from sidecar_evaluator import Evaluation

    return Evaluation(cnn(module(keras)), dataset(*images(examples)))


def dense(keras: Any, width: int) -> Any:
    """Return a compiled stack of four wide layers, whose kernels are zero."""
    layers = keras.layers
    wide = [layers.Dense(width, activation="relu", kernel_initializer="zeros") for _ in range(4)]
    model = keras.Sequential([layers.Input((width,)), *wide, layers.Dense(CLASSES)])
    return compiled(keras, model, "sgd")


def compiled(keras: Any, model: Any, optimizer: str) -> Any:
    """Compile for classification, everything else by Keras's defaults."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss=loss, metrics=["accuracy"])
    return model


def checkpoints(scratch: Path, keras: str, form: str) -> Path:
    """Return the folder with the CNN's checkpoints, ckpt-1 to ckpt-22; make them where they are not there yet."""
    folder = scratch / "checkpoints" / keras / form
    if not folder.exists():
        processes.call("benchmarks.workload:train", keras=keras, form=form, folder=str(folder))
    return folder


def train(_report: processes.Report, keras: str, form: str, folder: str) -> None:
    """Train the CNN a little for each checkpoint and save it, with its optimizer, as users do."""
    keras_module, place = module(keras), Path(folder)
    place.mkdir(parents=True)
    model = cnn(keras_module)
    save = _saver(model, form, place)
    data = dataset(*images(BATCH, seed=2))
    for number in range(1, CHECKPOINTS + 1):
        model.fit(data, verbose=0)
        save(number)


def _saver(model: Any, form: str, folder: Path) -> Any:
    import tensorflow as tf

    if form == KERAS_WEIGHTS:
        return lambda number: model.save_weights(str(folder / f"ckpt-{number}.weights.h5"))
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=None)
    return manager.save
