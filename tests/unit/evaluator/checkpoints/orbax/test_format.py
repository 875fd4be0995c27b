"""Orbax steps: which directories are steps, when one is whole, and which trees are understood."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.model_variables import restored_variables
from sidecar_evaluator.checkpoints.orbax.format import Orbax
from sidecar_evaluator.checkpoints.orbax.tree import Leaf, counters, match
from sidecar_evaluator.checkpoints.reader import read_whole
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable
from unit.evaluator.support import architectures
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, look, only, read
from unit.evaluator.support.models import Kit
from unit.evaluator.support.odd_models import metrics_as_attributes, trained
from unit.evaluator.support.saving import orbax_callback, orbax_manager

KERAS_3 = pytest.mark.parametrize("kit", ["keras"], indirect=True)
STEP, COMMITTED = "_CHECKPOINT_METADATA", "commit_success.txt"


def by_path(model: Any) -> dict[str, Any]:
    return {getattr(variable, "path", variable.name): value for variable, value in pairs(model)}


def nested(model: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for variable, value in pairs(model):
        *places, last = getattr(variable, "path", variable.name).split("/")
        node = tree
        for place in places:
            node = node.setdefault(place, {})
        node[last] = value
    return tree


def pairs(model: Any) -> Any:
    return zip(model.weights, model.get_weights(), strict=True)


TREES: dict[str, Callable[[Any], Any]] = {
    "flat": by_path,
    "nested": nested,
    "params": lambda model: {"params": nested(model), "step": 7},
    "model and optimizer": lambda model: {"model": by_path(model), "opt_state": {"mu": by_path(model)}, "step": 7},
    "two parts": lambda model: {"state": {"model": nested(model), "ema": nested(model)}, "iterations": 7},
    "list": lambda model: {"weights": model.get_weights(), "other": [1.0, 2.0]},
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
def test_trees_of_all_the_weights_are_understood(tree: Callable[[Any], Any], kit: Kit, tmp_path: Path) -> None:
    """The names that Keras makes up differ, as in a training that made other models before."""
    saved, model = randomized(architectures.functional(kit)), architectures.functional(kit)
    orbax_manager(tree(saved), tmp_path, 3)
    weights = read(Orbax(), tmp_path, model)
    assert is_same(weights, saved.get_weights())
    assert weights.iterations == (7 if "step" in tree(saved) or "iterations" in tree(saved) else None)


def test_metrics_among_the_weights_are_passed_over(kit: Kit, tmp_path: Path) -> None:
    """As tf_keras has them, and `get_weights` returns them."""
    saved, model = (metrics_as_attributes(kit) for _ in range(2))
    kit.score(model)
    orbax_manager({"model": trained(saved).get_weights()}, tmp_path, 3)
    expected = [np.array(each) for each in restored_variables(saved)]
    assert is_same(read(Orbax(), tmp_path, model), expected)


@KERAS_3
@pytest.mark.parametrize("name", ["step", "epoch", "metrics", "iterations", "opt", "optimizer_head"])
def test_a_layer_may_have_any_name(name: str, kit: Kit, tmp_path: Path) -> None:
    def build() -> Any:
        layers = kit.keras.layers
        return kit.compiled(kit.keras.Sequential([layers.Input((4,)), layers.Dense(4, name=name), layers.Dense(2)]))

    saved, model = randomized(build()), build()
    orbax_callback(saved, tmp_path)
    assert is_same(read(Orbax(), tmp_path, model), saved.get_weights())


@KERAS_3
def test_names_with_a_number_in_the_middle_are_told_apart(kit: Kit, tmp_path: Path) -> None:
    """As those of the layers that a FeatureSpace makes: the model has other numbers than the training."""

    def build(first: int) -> Any:
        layers = kit.keras.layers
        hidden = [layers.Dense(4, name=f"float_{number}_encoder") for number in (first, first + 1)]
        return kit.compiled(kit.keras.Sequential([layers.Input((4,)), *hidden, layers.Dense(2, name="out")]))

    saved = randomized(build(9))
    orbax_callback(saved, tmp_path)
    assert is_same(read(Orbax(), tmp_path, build(1)), saved.get_weights())


@KERAS_3
def test_a_model_without_weights_is_scored(kit: Kit, tmp_path: Path) -> None:
    layers = kit.keras.layers
    model = kit.compiled(kit.keras.Sequential([layers.Input((4,)), layers.Rescaling(0.5)]), metrics=())
    kit.score(model)
    orbax_callback(model, tmp_path)
    assert read(Orbax(), tmp_path, model).values == []


def test_a_tree_without_the_weights_or_with_two_of_them_is_refused(kit: Kit, tmp_path: Path) -> None:
    saved, model = kit.model(), kit.model()
    trees = {1: {"a": by_path(saved), "b": by_path(saved)}, 2: {"params": by_path(kit.model(9))}, 3: {"step": 7}}
    for number, tree in trees.items():
        orbax_manager(tree, tmp_path, number)
    found = look(Orbax(), directory=tmp_path)
    with pytest.raises(CheckpointIncompatible, match=r"holds default/a, default/b, each of which could be"):
        read_whole(found["1"], model)
    with pytest.raises(
        CheckpointIncompatible, match=r"kernel\S* is \[4, 8\] in the model and \[4, 9\] in the checkpoint"
    ):
        read_whole(found["2"], model)
    with pytest.raises(CheckpointIncompatible, match=r"kernel\S* is not in the checkpoint"):
        read_whole(found["3"], model)


def test_names_are_compared_as_they_are_before_by_rank() -> None:
    leaves = [Leaf("", (name, "kernel")) for name in ("dense_2", "dense_10", "dense_3")]
    keys = [
        leaf and leaf.keys[0] for leaf in match(leaves, ["dense/kernel", "dense_1/kernel", "dense_2/kernel"]).leaves
    ]
    assert keys == ["dense_2", "dense_3", "dense_10"]
    keys = [leaf and leaf.keys[0] for leaf in match(leaves, ["dense_3/kernel", "dense_2/kernel"]).leaves]
    assert keys == ["dense_3", "dense_2"]
    found = match(leaves, ["dense_3/kernel", "other/kernel"])
    assert [leaf and leaf.keys[0] for leaf in found.leaves] == ["dense_3", None]
    assert found.excess == ("dense_2/kernel", "dense_10/kernel")


def test_the_optimizers_own_counter_comes_before_a_step_beside_the_weights() -> None:
    step, own = Leaf("pytree", ("step",)), Leaf("pytree", ("optimizer_variables", "adam", "iteration"))
    assert counters([step]) == [step]
    assert counters([step, own]) == [own]
    assert counters([Leaf("pytree", ("params", "deep", "step"))]) == []


@KERAS_3
@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "12"),
        ({"step_prefix": "step"}, "step_12"),
        ({"step_prefix": "my_ckpt", "step_format_fixed_length": 8}, "my_ckpt_00000012"),
    ],
)
def test_steps_are_named_by_a_number(options: dict[str, Any], name: str, kit: Kit, tmp_path: Path) -> None:
    orbax_manager(by_path(kit.model()), tmp_path, 12, **options)
    checkpoint = only(Orbax(), tmp_path)
    assert (checkpoint.name, checkpoint.number) == (name, 12)


@pytest.mark.parametrize("name", ["7.orbax-checkpoint-tmp", "7.orbax-checkpoint-tmp-170_5", ".7", "run7", "run-7", "x"])
def test_other_directories_are_not_claimed(name: str) -> None:
    assert Orbax().claim(name, is_directory=True) is None
    assert Orbax().claim("7", is_directory=False) is None


@pytest.mark.parametrize("file", ["saved_model.pb", "ckpt-1.index", "7/_CHECKPOINT_METADATA", ""])
def test_a_numbered_directory_of_something_else_is_no_checkpoint(file: str, tmp_path: Path) -> None:
    (tmp_path / "7" / file).parent.mkdir(parents=True, exist_ok=True)
    if file:
        (tmp_path / "7" / file).write_bytes(b"x")
    assert look(Orbax(), directory=tmp_path) == {}


def test_numbered_directories_of_checkpoints_are_told_as_nested(tmp_path: Path) -> None:
    for name in ("run_1/ckpt-1.index", "2/7/_CHECKPOINT_METADATA", "3/default/_METADATA", "4/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    directory = Directory(tmp_path)
    assert [found.name for found in directory.look().checkpoints] == ["3"]
    assert directory.nested() == ["2", "run_1"]


@KERAS_3
def test_a_step_is_committed_by_its_time_or_by_a_file(kit: Kit, tmp_path: Path) -> None:
    """Where nothing can be renamed, a step is written under its own name and marked when it is whole."""
    orbax_callback(kit.model(), tmp_path, 7)
    step = tmp_path / "7"
    described = json.loads((step / STEP).read_text())
    (step / COMMITTED).unlink()
    assert only(Orbax(), tmp_path).number == 7
    (step / STEP).write_text(json.dumps({**described, "commit_timestamp_nsecs": None}))
    assert look(Orbax(), directory=tmp_path)["7"].missing == "it is not committed yet"
    (step / COMMITTED).write_text("done")
    assert only(Orbax(), tmp_path).number == 7
    (step / STEP).unlink()
    assert look(Orbax(), directory=tmp_path)["7"].missing == f"its {STEP} is missing"


@KERAS_3
def test_a_step_that_was_copied_in_part_is_not_whole(kit: Kit, tmp_path: Path) -> None:
    orbax_callback(kit.model(), tmp_path / "source", 7)
    source, copy = tmp_path / "source" / "7", tmp_path / "copy" / "7"
    files = sorted((path for path in source.rglob("*") if path.is_file()), key=lambda path: path.name != STEP)
    for count, path in enumerate(files, 1):
        target = copy / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        (found,) = look(Orbax(), directory=tmp_path / "copy").values()
        assert bool(found.missing) or count >= len(files) - 3, target  # the last may be tables that nothing refers to
    assert not found.missing


def test_a_lost_array_is_no_zero(kit: Kit, tmp_path: Path) -> None:
    """Without a table each array is a folder, and what is not there would read as its fill value."""
    import orbax.checkpoint as ocp

    saved, model = randomized(kit.model()), kit.model()
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=False)) as checkpointer:
        checkpointer.save(tmp_path / "7", args=ocp.args.PyTreeSave({"params": saved.get_weights()}))
    assert is_same(read(Orbax(), tmp_path, model), saved.get_weights())
    checkpoint = only(Orbax(), tmp_path)
    (tmp_path / "7" / "params.0" / "0.0").unlink()
    assert look(Orbax(), directory=tmp_path)["7"].missing == "its array params.0 is missing"
    with pytest.raises(CheckpointUnreadable):
        read_whole(checkpoint, model)
    described = json.loads((tmp_path / "7" / "_METADATA").read_text())
    (tmp_path / "7" / "_METADATA").write_text(json.dumps({**described, "store_array_data_equal_to_fill_value": False}))
    with pytest.raises(CheckpointIncompatible, match="save with a newer Orbax"):
        read_whole(checkpoint, model)


def test_tables_of_several_levels_are_measured_to_the_last_file(kit: Kit, tmp_path: Path) -> None:
    """Orbax copies what each process wrote into one table, whose nodes then lie in the processes' folders."""
    import tensorstore as ts

    orbax_manager({"params": kit.model().get_weights()}, tmp_path, 7)
    item = tmp_path / "7" / "default"
    source = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{item}/"}).result()
    written = {key: source.read(key).result().value for key in source.list().result()}
    for path in (item / "manifest.ocdbt", item / "d", item / "ocdbt.process_0"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    small = {"max_decoded_node_bytes": 300, "max_inline_value_bytes": 10}
    context = ts.Context()
    parts, whole = (
        ts.KvStore.open({"driver": "ocdbt", "base": f"file://{path}/", "config": small}, context=context).result()
        for path in (item / "ocdbt.process_0", item)
    )
    with ts.Transaction(atomic=True) as transaction:
        for key, value in written.items():
            parts.with_transaction(transaction)[key] = value
    with ts.Transaction(atomic=True) as transaction:
        parts.experimental_copy_range_to(whole.with_transaction(transaction)).result()
    tables = ts.ocdbt.dump(ts.KvStore.open(f"file://{item}/").result()).result()
    assert tables["versions"][-1]["root_height"] >= 1
    assert not look(Orbax(), directory=tmp_path)["7"].missing
    data = [path for path in item.rglob("d/*") if path.stat().st_size]
    assert len(data) == 2
    for path in data:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 10])  # at its end may lie what only the process's own table uses
        assert "data files are missing or not written" in look(Orbax(), directory=tmp_path)["7"].missing
        path.write_bytes(content)
