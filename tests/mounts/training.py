"""A small training and the evaluation of its model: what a user's code is in these tests.

`build` is the entry point that `sidecar-evaluator run` is given. Keras 3 is imported where it is used.
"""

from typing import Any

from sidecar_evaluator.entrypoint import Evaluation
from unit.evaluator.support.models import ModelFactory, dataset

WIDTH = 48


def model_factory() -> ModelFactory:
    """Return Keras 3."""
    import keras

    return ModelFactory(keras)


def small_model(seed: int = 0) -> Any:
    """Return a compiled model whose weights come from the seed."""
    keras = model_factory().keras
    keras.utils.set_random_seed(seed)
    return model_factory().model(WIDTH, depth=2)


def small_evaluation() -> Evaluation:
    """Return the model and the data that it is scored on."""
    return Evaluation(small_model(), dataset())


def build() -> Evaluation:
    """Return the same for a process of its own."""
    return small_evaluation()
