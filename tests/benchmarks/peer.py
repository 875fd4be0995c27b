"""The peer: what tf_keras's SidecarEvaluator does, part by part, where a part is measured alone.

For Keras 3 models, which that class does not take, the peer is what a user of Keras 3 would call by hand.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.workload import KERAS_WEIGHTS, TENSORFLOW


def restorer(keras: str, model: Any, form: str) -> Callable[[str], object]:
    """Return a function that loads the checkpoint at a path into the model."""
    import tensorflow as tf

    if form == KERAS_WEIGHTS:
        load: Callable[[str], object] = model.load_weights
        return load
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)

    def restore(path: str) -> None:
        checkpoint.restore(path).expect_partial()
        if keras == "tf_keras":  # its SidecarEvaluator looks whether there is a model in it
            attributes = {name.split("/")[0] for name in tf.train.load_checkpoint(path).get_variable_to_shape_map()}
            assert "model" in attributes

    return restore


def path_of(directory: Any, number: int, form: str) -> str:
    """Return the path that the peer is given for a checkpoint."""
    suffix = "" if form == TENSORFLOW else ".weights.h5"
    return str(directory / f"ckpt-{number}{suffix}")


def score(model: Any, data: Any) -> dict[str, float]:
    """Score as the peer does: `model.evaluate`."""
    metrics = model.evaluate(data, verbose=0, return_dict=True)
    return {str(name): float(value) for name, value in metrics.items()}
