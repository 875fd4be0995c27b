"""Copies that an earlier process left, whole or not, and what others put beside them."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.best_checkpoints import sources
from sidecar_evaluator.best_checkpoints.store import MANIFEST, MARKER, BestCheckpointStore
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.results.ranking import Goal, Primary
from unit.evaluator.support.copied_best import ACCURACY, LAYOUTS, Scene, export, outcome_of, refuse
from unit.evaluator.support.fakes import FakeFormat


@pytest.mark.parametrize("unfinished", ["marker", "torn marker", "files", "torn manifest", "file missing"])
def test_what_a_killed_process_left_unfinished_is_taken_away(unfinished: str, scene: Scene) -> None:
    best, other = scene.save(1), scene.save(2)
    assert scene.copies.keep(best, outcome_of(best)) == ""
    names = [name.format(2) for name in LAYOUTS[scene.layout]]
    place = scene.output / "ckpt-2"
    place.mkdir()
    (place / MARKER).write_text(json.dumps(names) if unfinished != "torn marker" else '["ckpt')
    if unfinished in {"files", "torn manifest", "file missing"}:
        for name in names[unfinished == "file missing" :]:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(b"x")
    if unfinished == "torn manifest":
        (place / MANIFEST).write_text('{"checkpoint": "ckpt-2", "fil')
    if unfinished == "file missing":
        manifest = scene.manifest("ckpt-1")
        (place / MANIFEST).write_text(json.dumps(manifest | {"checkpoint": "ckpt-2"}))
    restarted = scene.restarted()
    assert restarted.reconcile(outcome_of(best), scene.find) == ""
    assert [path.name for path in scene.output.iterdir()] == ["ckpt-1"]
    assert restarted.keep(other, outcome_of(other)) == ""
    assert scene.visible() == ["ckpt-2"]


def test_what_others_put_into_the_directory_is_left_alone(simple: Scene) -> None:
    simple.output.mkdir(parents=True)
    theirs = {
        "ckpt-1/model.bin": "the training's own best",
        "notes.txt": "text",
        "half/manifest.json": "{",
        "other/manifest.json": json.dumps({"checkpoint": "ckpt-9", "files": [], "copiedAt": "9999-01-01"}),
    }
    for name, text in theirs.items():
        (simple.output / name).parent.mkdir(exist_ok=True)
        (simple.output / name).write_text(text)
    for number in (1, 2):
        checkpoint = simple.save(number)
        assert simple.copies.keep(checkpoint, outcome_of(checkpoint)) == ""
        (simple.output / ("ckpt-1~2" if number == 1 else "ckpt-2") / "readme").write_text("theirs")
    assert simple.restarted().reconcile(outcome_of(simple.listed(2)), simple.find) == ""
    assert {name: (simple.output / name).read_text() for name in theirs} == theirs
    assert (simple.output / "ckpt-1~2" / "readme").read_text() == "theirs"
    assert (simple.output / "ckpt-2" / MANIFEST).exists()


@pytest.mark.parametrize("name", ["..", "", ".", "/etc"])
def test_a_strange_name_leads_nowhere_else(name: str, simple: Scene) -> None:
    checkpoint = replace(simple.save(1), name=name)
    assert simple.copies.keep(checkpoint, outcome_of(checkpoint)) == ""
    assert simple.visible() == ["checkpoint"]


def test_a_marker_names_nothing_outside_its_directory(simple: Scene) -> None:
    place = simple.output / "ckpt-1"
    place.mkdir(parents=True)
    precious = simple.checkpoints / "precious"
    precious.write_text("kept")
    (place / MARKER).write_text(json.dumps(["../../../ckpt/precious", str(precious), 7, ".."]))
    assert simple.copies.reconcile(None, simple.find) == ""
    assert precious.read_text() == "kept"
    assert not place.exists()


def test_an_earlier_processs_copy_is_found_again(simple: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = simple.save(1)
    best = outcome_of(checkpoint)
    assert simple.copies.keep(checkpoint, best) == ""
    simple.delete(checkpoint)
    monkeypatch.setattr(sources, "_copy", refuse)
    restarted = simple.restarted()
    assert restarted.reconcile(best, simple.find) == ""
    assert restarted.reconcile(best, refuse) == ""


def test_a_best_without_a_copy_is_copied_at_the_next_start(scene: Scene) -> None:
    older, best = scene.save(1), scene.save(2)
    scene.copies.keep(older, outcome_of(older))
    assert scene.restarted().reconcile(outcome_of(best), scene.find) == ""
    assert scene.visible() == ["ckpt-2"]


def test_a_best_that_is_not_complete_at_the_first_look_is_found_at_the_second(simple: Scene) -> None:
    checkpoint = simple.save(1)
    looks = [replace(checkpoint, missing="its size is still changing"), checkpoint]
    assert simple.copies.reconcile(outcome_of(checkpoint), lambda _name: looks.pop(0)) == ""
    assert simple.visible() == ["ckpt-1"]


@pytest.mark.parametrize("state", ["gone", "incomplete", "rewritten", "unlistable"])
def test_a_best_that_cannot_be_copied_any_more_is_told_and_the_older_copy_stays(
    state: str, simple: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    older, best = simple.save(1), simple.save(2)
    simple.copies.keep(older, outcome_of(older))
    finds: dict[str, Callable[[str], Checkpoint | None]] = {
        "gone": lambda _name: None,
        "incomplete": lambda _name: replace(best, missing="its index file is missing"),
        "rewritten": lambda _name: replace(best, files=(replace(best.files[0], modified_ns=1),)),
        "unlistable": refuse,
    }
    assert "ckpt-2 could not be copied" in simple.restarted().reconcile(outcome_of(best), finds[state])
    assert simple.visible() == ["ckpt-1"]
    assert "ckpt-2 could not be copied" in caplog.text


def test_after_a_change_of_the_goal_the_newest_copy_is_of_the_new_best(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "tree", keep=2)
    for number in (1, 2):
        checkpoint = scene.save(number)
        scene.copies.keep(checkpoint, outcome_of(checkpoint, number / 10))
        scene.now += 1
    best = outcome_of(scene.listed(1), 0.1)
    scene.delete(scene.listed(1))
    restarted = scene.restarted(2, Primary("accuracy", Goal.MINIMIZE))
    assert restarted.reconcile(best, scene.find) == ""
    assert scene.visible()[0] == "ckpt-1~2"
    assert scene.manifest("ckpt-1~2")["goal"] == "Minimize"
    assert scene.manifest("ckpt-1~2")["files"] == scene.manifest("ckpt-1~2")["files"]


def test_a_damaged_copy_is_not_copied_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path, keep=2)
    for number in (1, 2):
        checkpoint = scene.save(number)
        scene.copies.keep(checkpoint, outcome_of(checkpoint))
        scene.now += 1
    best = outcome_of(scene.listed(1))
    scene.delete(scene.listed(1))
    damaged = scene.output / "ckpt-1" / "ckpt-1.index"
    damaged.write_bytes(damaged.read_bytes()[::-1])
    assert "its copy is damaged" in scene.restarted(2).reconcile(best, scene.find)


def test_a_copy_is_never_made_in_the_checkpoint_directory_itself(simple: Scene) -> None:
    checkpoint = simple.save(1)
    best, before = outcome_of(checkpoint), sorted(simple.checkpoints.iterdir())
    copies = BestCheckpointStore(simple.checkpoints, 1, ACCURACY)
    assert "the checkpoint directory itself" in copies.keep(checkpoint, best, export)
    assert "the checkpoint directory itself" in copies.reconcile(best, simple.find)
    assert sorted(simple.checkpoints.iterdir()) == before


def test_storage_that_dies_fails_no_evaluation(simple: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = simple.save(1)

    def die(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    for name in ("stat", "lstat", "scandir", "listdir", "open", "mkdir"):
        monkeypatch.setattr(os, name, die)
    assert "not connected" in simple.copies.keep(checkpoint, outcome_of(checkpoint), export)
    assert "not connected" in simple.copies.reconcile(outcome_of(checkpoint), simple.find)


def test_an_output_inside_the_checkpoint_directory_is_not_taken_for_checkpoints(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.output = scene.checkpoints / "best"
    checkpoint = scene.save(1)
    assert scene.restarted().keep(checkpoint, outcome_of(checkpoint)) == ""
    assert [listed.name for listed in Directory(scene.checkpoints).look().checkpoints] == ["ckpt-1"]


def test_a_tree_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "tree")
    scene.save(1)
    (scene.checkpoints / "ckpt-1" / "elsewhere").symlink_to("/etc", target_is_directory=True)
    checkpoint = scene.listed(1)
    assert "a link to a directory" in scene.copies.keep(checkpoint, outcome_of(checkpoint))


def test_a_copy_that_its_format_finds_not_whole_is_no_copy(tmp_path: Path) -> None:
    class Strict(FakeFormat):
        def inspect(self, checkpoint: Checkpoint) -> str:
            return "" if (checkpoint.path / "d" / "2c3d").exists() else "its d/2c3d is missing"

    scene = Scene(tmp_path, "tree")
    checkpoint = replace(scene.save(1), format=Strict())
    (scene.checkpoints / "ckpt-1" / "d" / "2c3d").unlink()  # as while training deletes the step
    assert "its d/2c3d is missing" in scene.copies.keep(checkpoint, outcome_of(checkpoint))
    assert scene.visible() == []
    assert scene.copies.keep(checkpoint, outcome_of(checkpoint), export) == ""
    assert scene.manifest("ckpt-1")["origin"] == "memory"


def test_a_large_file_is_copied_in_blocks(simple: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_BLOCK", 1000)
    checkpoint = simple.save(1, os.urandom(12_345))
    assert simple.copies.keep(checkpoint, outcome_of(checkpoint)) == ""
    assert simple.visible() == ["ckpt-1"]


def test_nothing_is_best_yet(simple: Scene) -> None:
    assert simple.copies.reconcile(None, simple.find) == ""
    assert not simple.output.exists()
