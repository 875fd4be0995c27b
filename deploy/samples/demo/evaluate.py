"""What the SidecarEvaluation calls: the model and the data to evaluate its checkpoints on."""

import tensorflow as tf

import digits
from sidecar_evaluator import Evaluation


def build(images: int = 4000, batch: int = 256) -> Evaluation:
    """Return the untrained model and images that training never sees."""
    data = tf.data.Dataset.from_tensor_slices(digits.draw(images, seed=2)).batch(batch)
    return Evaluation(digits.build_model(), data)
