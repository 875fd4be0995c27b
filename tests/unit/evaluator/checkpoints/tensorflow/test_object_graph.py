"""Finding the model in the object graph of a TensorFlow checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow
from sidecar_evaluator.errors import CheckpointIncompatible, IterationsMissingError
from unit.evaluator.support import architectures, saving
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, look, read
from unit.evaluator.support.models import ModelFactory


@pytest.mark.parametrize("build", [architectures.functional, architectures.wrapper], ids=["functional", "wrapper"])
def test_weights_may_be_saved_alone_or_under_any_name(
    build: Callable[[ModelFactory], Any], factory: ModelFactory, tmp_path: Path
) -> None:
    saved = randomized(build(factory))
    for number, objects in enumerate(
        [{"net": saved, "opt": saved.optimizer}, {"model": saved, "opt": saved.optimizer}]
    ):
        saving.write(tmp_path, f"ckpt-{number}", **objects)
    if not factory.is_keras3:
        saved.save_weights(str(tmp_path / "ckpt-7"), save_format="tf")
    reader, model = TensorFlow(), build(factory)
    checkpoints = look(reader, directory=tmp_path).values()
    assert len(checkpoints) == (2 if factory.is_keras3 else 3)
    assert all(is_same(read_checkpoint(checkpoint, model), saved.get_weights()) for checkpoint in checkpoints)


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ({"step": 7}, 7),
        ({"global_step": 7}, 7),
        ({"iterations": 7}, 7),
        ({"step": 3, "iterations": 7}, 7),
        ({"step": 0.5}, None),
        ({"step": [7, 8]}, None),
        ({"epoch": 7}, None),
    ],
)
def test_without_an_optimizer_the_step_is_a_whole_number_at_the_root(
    counters: dict[str, Any], expected: int | None, factory: ModelFactory, tmp_path: Path
) -> None:
    import tensorflow as tf

    saved = factory.model(compiled=False)
    saving.write(tmp_path, model=saved, **{name: tf.Variable(value) for name, value in counters.items()})
    if expected is None:
        with pytest.raises(IterationsMissingError):
            read(TensorFlow(), tmp_path, factory.model())
    else:
        weights = read(TensorFlow(), tmp_path, factory.model())
        assert weights.iterations == expected
        assert is_same(weights, saved.get_weights())


def test_an_optimizers_iterations_come_before_a_step_at_the_root(factory: ModelFactory, tmp_path: Path) -> None:
    import tensorflow as tf

    saved = factory.model()
    saved.optimizer.iterations.assign(9)
    saving.write(tmp_path, net=saved, optimizer=saved.optimizer, step=tf.Variable(7))
    assert read(TensorFlow(), tmp_path, factory.model()).iterations == 9


def counting_itself(factory: ModelFactory) -> Any:
    import tensorflow as tf

    class Counting(factory.keras.Model):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = factory.keras.layers.Dense(2)
            self.step = tf.Variable(7, trainable=False)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = Counting()
    model(np.zeros((1, 4), "float32"))
    return model


def test_a_variable_of_the_model_is_no_step_although_the_model_is_the_root(
    factory: ModelFactory, tmp_path: Path
) -> None:
    import tensorflow as tf

    tf.train.Checkpoint(counting_itself(factory)).write(str(tmp_path / "ckpt-1"))
    with pytest.raises(IterationsMissingError):
        read(TensorFlow(), tmp_path, counting_itself(factory))


def test_two_objects_that_could_be_the_model_are_refused(factory: ModelFactory, tmp_path: Path) -> None:
    student, teacher = factory.model(), factory.model()
    saving.write(tmp_path, student=student, teacher=teacher, optimizer=student.optimizer)
    with pytest.raises(CheckpointIncompatible, match=r"contains student, teacher.* save the one to evaluate as"):
        read(TensorFlow(), tmp_path, factory.model())


def in_a_list(*, normalized: bool = False) -> Any:
    """Build a Keras 3 model with layers in a list, which TensorFlow does not track."""
    import keras

    class Listed(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            layers = [keras.layers.Dense(4) for _ in range(3)]
            self.blocks = [*layers, *([keras.layers.BatchNormalization()] if normalized else [])]

        def call(self, inputs: Any) -> Any:
            for block in self.blocks:
                inputs = block(inputs)
            return inputs

    model = ModelFactory(keras).compiled(Listed())
    model(np.zeros((1, 4), "float32"))
    return model


def test_layers_in_a_list_are_found_through_the_optimizer_or_named(tmp_path: Path) -> None:
    saved = randomized(in_a_list())
    saving.tensorflow(saved, tmp_path)
    assert is_same(read(TensorFlow(), tmp_path, in_a_list()), saved.get_weights())
    saving.tensorflow(randomized(in_a_list(normalized=True)), tmp_path)
    with pytest.raises(CheckpointIncompatible, match="moving_mean is not in the checkpoint"):
        read(TensorFlow(), tmp_path, in_a_list(normalized=True))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_layers_in_a_list_are_not_confused_with_others_that_the_training_trained(
    optimizer: str, tmp_path: Path
) -> None:
    """As many variables are trainable in the training and here, but not the same: one is nowhere in the checkpoint."""
    import keras

    class WithHead(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [keras.layers.Dense(4), keras.layers.Dense(4)]
            self.head = keras.layers.Dense(4)

        def call(self, inputs: Any) -> Any:
            return self.head(self.blocks[1](self.blocks[0](inputs)))

    saved, model = WithHead(), WithHead()
    for built, frozen in ((saved, saved.blocks[0]), (model, model.head)):
        built(np.zeros((1, 4), "float32"))
        frozen.trainable = False
        ModelFactory(keras).compiled(built, optimizer)
    saving.tensorflow(randomized(saved), tmp_path)
    with pytest.raises(CheckpointIncompatible, match="kernel is not in the checkpoint"):
        read(TensorFlow(), tmp_path, model)


def test_layers_in_a_list_are_told_apart_by_the_names_of_slots(tmp_path: Path) -> None:
    """The optimizer of the training was built with the variables in another order."""
    import keras

    saved, optimizer = randomized(in_a_list()), keras.optimizers.Adam()
    optimizer.build([variable for block in reversed(saved.blocks) for variable in block.trainable_variables])
    saving.write(tmp_path, model=saved, optimizer=optimizer)
    assert is_same(read(TensorFlow(), tmp_path, in_a_list()), saved.get_weights())
