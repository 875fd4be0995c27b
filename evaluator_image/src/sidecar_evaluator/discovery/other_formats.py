"""What stands in a directory instead of checkpoints, where that is something which training code writes as well.

`obstacles` and `reminder` ask for it where a directory holds no checkpoint. Names decide, and for directories
whether one file is in them; no file is opened. It must not say anything of what a format recognises.
"""

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

_SAVED_MODELS = ("saved_model.pb", "saved_model.pbtxt")
_EXAMINED = 16  # entries, however many there are
_NAME_LENGTH = 80

_WEIGHTS = "save ckpt-{epoch}.weights.h5 or ckpt-{epoch}.keras"
_SAVED_MODEL = f"a SavedModel, which is not read; {_WEIGHTS}"
_BY_ENDING = {
    (".h5", ".hdf5"): f"a whole model in HDF5, or weights as Keras 2 wrote them, which is not read; {_WEIGHTS}",
    (".meta", ".pb", ".pbtxt"): "a graph of TensorFlow, which is not read; save with tf.train.CheckpointManager",
    (".tflite", ".onnx"): f"an exported model, which is not read; {_WEIGHTS}",
    (".safetensors", ".pt", ".pth", ".ckpt"): f"of another framework, which is not read; {_WEIGHTS}",
    (".npz", ".npy", ".pkl", ".pickle"): f"arrays without a format of Keras, which are not read; {_WEIGHTS}",
}


def other_format(path: Path, names: Collection[str]) -> str:
    """Say what the entries of a directory are, and what training should save instead; "" where that is not known."""
    if is_saved_model(names):
        return f"the directory is {_SAVED_MODEL}"
    return next(_kinds(path, sorted(name for name in names if not name.startswith("."))), "")


def is_saved_model(names: Collection[str]) -> bool:
    """Return whether a directory with these entries is a SavedModel, whose variables are in a checkpoint below it."""
    return any(name in names for name in _SAVED_MODELS)


def _kinds(path: Path, names: list[str]) -> Iterator[str]:
    for name in islice(names, _EXAMINED):
        if any((path / name / model).is_file() for model in _SAVED_MODELS):
            yield f"{name[:_NAME_LENGTH]} is {_SAVED_MODEL}"
    for endings, kind in _BY_ENDING.items():
        if named := [name for name in names if name.endswith(endings)]:
            yield f"{named[0][:_NAME_LENGTH]} is {kind}"
