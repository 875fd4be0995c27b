"""Orbax steps: which directories are steps, and when a step is complete."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.orbax.format import Orbax
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.discovery.directory import Directory
from unit.evaluator.support.looking import is_same, look, only
from unit.evaluator.support.models import ModelFactory
from unit.evaluator.support.saving import orbax_callback, orbax_manager
from unit.evaluator.support.trees import by_path

KERAS_3 = pytest.mark.parametrize("factory", ["keras"], indirect=True)

STEP, COMMITTED = "_CHECKPOINT_METADATA", "commit_success.txt"


@KERAS_3
@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "12"),
        ({"step_prefix": "step"}, "step_12"),
        ({"step_prefix": "my_ckpt", "step_format_fixed_length": 8}, "my_ckpt_00000012"),
    ],
)
def test_steps_are_named_by_a_number(options: dict[str, Any], name: str, factory: ModelFactory, tmp_path: Path) -> None:
    orbax_manager(by_path(factory.model()), tmp_path, 12, **options)
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
    assert [checkpoint.name for checkpoint in directory.look().checkpoints] == ["3"]
    assert directory.nested() == ["2", "run_1"]


@KERAS_3
def test_a_step_is_committed_by_its_time_or_by_a_file(factory: ModelFactory, tmp_path: Path) -> None:
    """Where nothing can be renamed, a step is written under its own name and marked when it is whole."""
    orbax_callback(factory.model(), tmp_path, 7)
    step = tmp_path / "7"
    metadata = json.loads((step / STEP).read_text())
    (step / COMMITTED).unlink()
    assert only(Orbax(), tmp_path).number == 7
    (step / STEP).write_text(json.dumps({**metadata, "commit_timestamp_nsecs": None}))
    assert look(Orbax(), directory=tmp_path)["7"].missing == "it is not committed yet"
    (step / COMMITTED).write_text("done")
    assert only(Orbax(), tmp_path).number == 7
    (step / STEP).unlink()
    assert look(Orbax(), directory=tmp_path)["7"].missing == f"its {STEP} is missing"


@KERAS_3
def test_a_step_that_was_copied_in_part_is_not_whole(factory: ModelFactory, tmp_path: Path) -> None:
    """Database files that nothing refers to may be missing: without them, all weights are there."""
    saved, model = factory.model(), factory.model()
    orbax_callback(saved, tmp_path / "source", 7)
    source, copy = tmp_path / "source" / "7", tmp_path / "copy" / "7"
    files = sorted((path for path in source.rglob("*") if path.is_file()), key=lambda path: path.name != STEP)
    for path in files:
        target = copy / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        (checkpoint,) = look(Orbax(), directory=tmp_path / "copy").values()
        assert checkpoint.missing or is_same(read_checkpoint(checkpoint, model), saved.get_weights()), target
    assert not checkpoint.missing
