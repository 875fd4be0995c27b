"""Orbax trees: which ones are supported, and which leaf belongs to which variable."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.model_variables import variables_to_restore
from sidecar_evaluator.checkpoints.orbax.format import Orbax
from sidecar_evaluator.checkpoints.orbax.tree import Leaf, counters, match
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.errors import CheckpointIncompatible
from unit.evaluator.support import architectures
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, look, read
from unit.evaluator.support.models import ModelFactory
from unit.evaluator.support.odd_models import metrics_as_attributes, trained
from unit.evaluator.support.saving import orbax_callback, orbax_manager
from unit.evaluator.support.trees import by_path, nested

KERAS_3 = pytest.mark.parametrize("factory", ["keras"], indirect=True)

TREES: dict[str, Callable[[Any], Any]] = {
    "flat": by_path,
    "nested": nested,
    "params": lambda model: {"params": nested(model), "step": 7},
    "model and optimizer": lambda model: {"model": by_path(model), "opt_state": {"mu": by_path(model)}, "step": 7},
    "two parts": lambda model: {"state": {"model": nested(model), "ema": nested(model)}, "iterations": 7},
    "list": lambda model: {"weights": model.get_weights(), "other": [1.0, 2.0]},
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
def test_trees_of_all_the_weights_are_understood(
    tree: Callable[[Any], Any], factory: ModelFactory, tmp_path: Path
) -> None:
    """The names that Keras generates differ, as if the training had created other models before."""
    saved, model = randomized(architectures.functional(factory)), architectures.functional(factory)
    orbax_manager(tree(saved), tmp_path, 3)
    weights = read(Orbax(), tmp_path, model)
    assert is_same(weights, saved.get_weights())
    assert weights.iterations == (7 if "step" in tree(saved) or "iterations" in tree(saved) else None)


def test_metrics_among_the_weights_are_passed_over(factory: ModelFactory, tmp_path: Path) -> None:
    """tf_keras has them among the weights, and `get_weights` returns them."""
    saved, model = (metrics_as_attributes(factory) for _ in range(2))
    factory.score(model)
    orbax_manager({"model": trained(saved).get_weights()}, tmp_path, 3)
    expected = [np.array(variable) for variable in variables_to_restore(saved)]
    assert is_same(read(Orbax(), tmp_path, model), expected)


@pytest.mark.parametrize("factory", ["tf_keras"], indirect=True)
def test_a_list_whose_order_depends_on_what_is_frozen_is_refused_and_names_are_read(
    factory: ModelFactory, tmp_path: Path
) -> None:
    """The training has frozen the first of two layers of one shape: its weights come last in `get_weights()`."""
    saved, model = (architectures.nested_layers(factory) for _ in range(2))
    saved.layers[0].parts[0].trainable = False
    randomized(saved)
    expected = {variable.name: np.array(variable) for variable in saved.weights}
    orbax_manager({"model": saved.get_weights()}, tmp_path, 1)
    orbax_manager({"model": by_path(saved)}, tmp_path, 2)
    checkpoints = look(Orbax(), directory=tmp_path)
    with pytest.raises(CheckpointIncompatible, match=r"a list, which does not tell \S*/kernel:0 and \S*/kernel:0 ap"):
        read_checkpoint(checkpoints["1"], model)
    weights = read_checkpoint(checkpoints["2"], model)
    assert is_same(weights, [expected[variable.name] for variable in model.weights])


@KERAS_3
@pytest.mark.parametrize("name", ["step", "epoch", "metrics", "iterations", "opt", "optimizer_head"])
def test_a_layer_may_have_any_name(name: str, factory: ModelFactory, tmp_path: Path) -> None:
    def build() -> Any:
        layers = factory.keras.layers
        return factory.compiled(
            factory.keras.Sequential([layers.Input((4,)), layers.Dense(4, name=name), layers.Dense(2)])
        )

    saved, model = randomized(build()), build()
    orbax_callback(saved, tmp_path)
    assert is_same(read(Orbax(), tmp_path, model), saved.get_weights())


@KERAS_3
def test_names_with_a_number_in_the_middle_are_told_apart(factory: ModelFactory, tmp_path: Path) -> None:
    """As in the layers of a FeatureSpace: the numbers in the model differ from those in the training."""

    def build(first: int) -> Any:
        layers = factory.keras.layers
        hidden = [layers.Dense(4, name=f"float_{number}_encoder") for number in (first, first + 1)]
        return factory.compiled(factory.keras.Sequential([layers.Input((4,)), *hidden, layers.Dense(2, name="out")]))

    saved = randomized(build(9))
    orbax_callback(saved, tmp_path)
    assert is_same(read(Orbax(), tmp_path, build(1)), saved.get_weights())


@KERAS_3
def test_a_model_without_weights_is_scored(factory: ModelFactory, tmp_path: Path) -> None:
    layers = factory.keras.layers
    model = factory.compiled(factory.keras.Sequential([layers.Input((4,)), layers.Rescaling(0.5)]), metrics=())
    factory.score(model)
    orbax_callback(model, tmp_path)
    assert read(Orbax(), tmp_path, model).values == []


def test_a_tree_without_the_weights_or_with_two_of_them_is_refused(factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = factory.model(), factory.model()
    trees = {1: {"a": by_path(saved), "b": by_path(saved)}, 2: {"params": by_path(factory.model(9))}, 3: {"step": 7}}
    for number, tree in trees.items():
        orbax_manager(tree, tmp_path, number)
    checkpoints = look(Orbax(), directory=tmp_path)
    with pytest.raises(CheckpointIncompatible, match=r"contains default/a, default/b, each of which could be"):
        read_checkpoint(checkpoints["1"], model)
    with pytest.raises(
        CheckpointIncompatible, match=r"kernel\S* is \[4, 8\] in the model and \[4, 9\] in the checkpoint"
    ):
        read_checkpoint(checkpoints["2"], model)
    with pytest.raises(
        CheckpointIncompatible, match=r"kernel\S* is not in the checkpoint.* The step contains default/step\."
    ):
        read_checkpoint(checkpoints["3"], model)


def test_names_are_compared_as_they_are_before_by_rank() -> None:
    leaves = [Leaf("", (name, "kernel")) for name in ("dense_2", "dense_10", "dense_3")]
    keys = [
        leaf and leaf.keys[0] for leaf in match(leaves, ["dense/kernel", "dense_1/kernel", "dense_2/kernel"]).leaves
    ]
    assert keys == ["dense_2", "dense_3", "dense_10"]
    keys = [leaf and leaf.keys[0] for leaf in match(leaves, ["dense_3/kernel", "dense_2/kernel"]).leaves]
    assert keys == ["dense_3", "dense_2"]
    matched = match(leaves, ["dense_3/kernel", "other/kernel"])
    assert [leaf and leaf.keys[0] for leaf in matched.leaves] == ["dense_3", None]
    assert matched.excess == ("dense_2/kernel", "dense_10/kernel")


def test_the_optimizers_own_counter_comes_before_a_step_beside_the_weights() -> None:
    step, counter = Leaf("pytree", ("step",)), Leaf("pytree", ("optimizer_variables", "adam", "iteration"))
    assert counters([step]) == [step]
    assert counters([step, counter]) == [counter]
    assert counters([Leaf("pytree", ("params", "deep", "step"))]) == []
