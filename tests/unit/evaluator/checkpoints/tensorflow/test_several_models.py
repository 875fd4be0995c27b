"""Checkpoints of several models and optimizers, and of objects in objects: which model is read, and whose step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow
from sidecar_evaluator.errors import CheckpointIncompatible
from unit.evaluator.support import saving
from unit.evaluator.support.looking import is_same, read
from unit.evaluator.support.models import ModelFactory

Optimizer = Callable[[Any], Any]

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": lambda keras: keras.optimizers.Adam(),
    "momentum": lambda keras: keras.optimizers.SGD(momentum=0.9),
    "scaled": lambda keras: keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam()),
    "legacy": lambda keras: keras.optimizers.Adam() if keras.__name__ == "keras" else keras.optimizers.legacy.Adam(),
}


def model(factory: ModelFactory, width: int) -> Any:
    return factory.model(width, compiled=False)


def trained(
    factory: ModelFactory, width: int, iterations: int, make: Optimizer = OPTIMIZERS["adam"]
) -> tuple[Any, Any]:
    """Return a model and the optimizer that has trained it for so many steps."""
    import tensorflow as tf

    net, optimizer = model(factory, width), make(factory.keras)
    variables = net.trainable_variables
    optimizer.apply_gradients([(tf.ones(variable.shape), variable) for variable in variables])
    counting: Any = getattr(optimizer, "inner_optimizer", optimizer)
    counting.iterations.assign(iterations)
    return net, optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_of_two_models_the_one_with_the_shapes_is_read_with_the_step_of_its_optimizer(
    name: str, factory: ModelFactory, tmp_path: Path
) -> None:
    critic, critic_optimizer = trained(factory, 8, 5, OPTIMIZERS[name])
    generator, generator_optimizer = trained(factory, 9, 7, OPTIMIZERS[name])
    saving.write(
        tmp_path, a=critic, b=generator, critic_optimizer=critic_optimizer, generator_optimizer=generator_optimizer
    )
    for width, net, step in ((8, critic, 5), (9, generator, 7)):
        weights = read(TensorFlow(), tmp_path, model(factory, width))
        assert is_same(weights, net.get_weights())
        assert weights.iterations == step


def test_a_model_beside_one_that_is_named_model_is_found_by_its_shapes(factory: ModelFactory, tmp_path: Path) -> None:
    (generator, optimizer), (critic, critic_optimizer) = trained(factory, 8, 5), trained(factory, 9, 7)
    saving.write(tmp_path, model=generator, optimizer=optimizer, critic=critic, critic_optimizer=critic_optimizer)
    weights = read(TensorFlow(), tmp_path, model(factory, 9))
    assert is_same(weights, critic.get_weights())
    assert weights.iterations == 7


@pytest.mark.parametrize("depth", [1, 2])
def test_a_checkpoint_in_a_checkpoint_is_understood(depth: int, factory: ModelFactory, tmp_path: Path) -> None:
    import tensorflow as tf

    net, optimizer = trained(factory, 8, 5)
    state = tf.train.Checkpoint(net=net, optimizer=optimizer)
    for _ in range(depth - 1):
        state = tf.train.Checkpoint(inner=state)
    saving.write(tmp_path, state=state)
    weights = read(TensorFlow(), tmp_path, model(factory, 8))
    assert is_same(weights, net.get_weights())
    assert weights.iterations == 5


def test_one_model_under_two_names_is_one(factory: ModelFactory, tmp_path: Path) -> None:
    net, optimizer = trained(factory, 8, 5)
    saving.write(tmp_path, net=net, best=net, optimizer=optimizer)
    assert is_same(read(TensorFlow(), tmp_path, model(factory, 8)), net.get_weights())


def test_two_models_of_one_architecture_in_a_checkpoint_are_refused(factory: ModelFactory, tmp_path: Path) -> None:
    import tensorflow as tf

    (student, optimizer), (teacher, _) = trained(factory, 8, 5), trained(factory, 8, 7)
    saving.write(tmp_path, state=tf.train.Checkpoint(student=student, teacher=teacher, optimizer=optimizer))
    with pytest.raises(CheckpointIncompatible, match=r"contains state/student, state/teacher, each of which could be"):
        read(TensorFlow(), tmp_path, model(factory, 8))


def test_where_no_model_fits_the_closest_one_is_compared(factory: ModelFactory, tmp_path: Path) -> None:
    (net, optimizer), (other, _) = trained(factory, 8, 5), trained(factory, 9, 7)
    saving.write(tmp_path, net=net, other=other, optimizer=optimizer)
    with pytest.raises(CheckpointIncompatible, match=r"is \[4, 10\] in the model and \[4, 8\] in the checkpoint"):
        read(TensorFlow(), tmp_path, model(factory, 10))
