"""Copies of the best: whole or not there, whatever training, disk and object stores do meanwhile."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator import copying
from sidecar_evaluator.best import Goal, Primary
from sidecar_evaluator.best_copies import MANIFEST, MARKER, BestCopies
from sidecar_evaluator.checkpoints.directory import Directory
from sidecar_evaluator.checkpoints.interface import Checkpoint, state_of
from sidecar_evaluator.outcome import Outcome, Score
from unit.evaluator.fakes import FORMAT, FakeFormat, evaluated

ACCURACY = Primary("accuracy", Goal.MAXIMIZE)
LAYOUTS = {
    "prefix": ["ckpt-{}.index", "ckpt-{}.data-00000-of-00002", "ckpt-{}.data-00001-of-00002"],
    "file": ["ckpt-{}.weights.h5"],
    "tree": ["ckpt-{}/_METADATA", "ckpt-{}/d/0a1b", "ckpt-{}/d/2c3d", "ckpt-{}/ocdbt.process_0/d/empty"],
}


class Scene:
    """A checkpoint directory, an output and what is copied between them."""

    def __init__(self, root: Path, layout: str = "prefix", keep: int = 1) -> None:
        self.checkpoints, self.output = root / "ckpt", root / "output" / "best"
        self.checkpoints.mkdir(exist_ok=True)
        self.layout, self.now = layout, 1000.0
        self.copies = self.restarted(keep)

    def restarted(self, keep: int = 1, primary: Primary | None = ACCURACY) -> BestCopies:
        return BestCopies(self.output, keep, primary, clock=lambda: self.now)

    def save(self, number: int | str, content: bytes = b"weights") -> Checkpoint:
        names = [name.format(number) for name in LAYOUTS[self.layout]]
        for name in names:
            path = self.checkpoints / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"" if name.endswith("empty") else name.encode() + content)
        return self.listed(number)

    def listed(self, number: int | str) -> Checkpoint:
        names = [name.format(number) for name in LAYOUTS[self.layout]]
        opened = {"prefix": f"ckpt-{number}", "file": names[0], "tree": f"ckpt-{number}"}[self.layout]
        known = names[:1] if self.layout == "tree" else names  # of a tree a listing sees the files that mark it
        files = tuple(state_of(self.checkpoints, name) for name in known)
        return Checkpoint(f"ckpt-{number}", self.checkpoints / opened, FORMAT, files)

    def find(self, name: str) -> Checkpoint | None:
        number = name.removeprefix("ckpt-")
        first = self.checkpoints / LAYOUTS[self.layout][0].format(number)
        return self.listed(number) if first.exists() else None

    def delete(self, checkpoint: Checkpoint) -> None:
        if checkpoint.path.is_dir():
            shutil.rmtree(checkpoint.path)
        for file in checkpoint.files:
            (self.checkpoints / file.name).unlink(missing_ok=True)

    def visible(self) -> list[str]:
        """Return the places of whole copies, the newest first; check that each is whole."""
        found = [json.loads(path.read_text()) | {"place": path.parent} for path in self.output.glob("*/manifest.json")]
        for manifest in found:
            for file in manifest["files"]:
                content = (manifest["place"] / file["name"]).read_bytes()
                assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size"], file["sha256"])
        newest_first = sorted(found, key=lambda manifest: str(manifest["copiedAt"]), reverse=True)
        return [manifest["place"].name for manifest in newest_first]

    def manifest(self, place: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.output / place / MANIFEST).read_text())
        return found


def outcome_of(checkpoint: Checkpoint, accuracy: float = 0.5, **others: Any) -> Outcome:
    made = evaluated(checkpoint.name, accuracy=accuracy, number=checkpoint.number, modified_at=checkpoint.modified_at)
    return replace(made, **others)


@pytest.fixture(params=list(LAYOUTS))
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    return Scene(tmp_path, request.param)


@pytest.fixture
def simple(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def export(path: Path) -> None:
    path.write_bytes(b"weights from memory")


def refuse(*_: Any, **__: Any) -> Any:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture
def refuse_renames(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rename", "replace", "link", "symlink"):
        monkeypatch.setattr(os, name, refuse)


@pytest.mark.usefixtures("refuse_renames")
def test_every_file_is_copied_and_the_manifest_says_what_it_is(scene: Scene) -> None:
    checkpoint = scene.save(7)
    assert scene.copies.keep(checkpoint, outcome_of(checkpoint, 0.75, step=700)) == ""
    for name in LAYOUTS[scene.layout]:
        copied = scene.output / "ckpt-7" / name.format(7)
        assert copied.read_bytes() == (scene.checkpoints / name.format(7)).read_bytes()
    manifest = scene.manifest("ckpt-7")
    expected = {"checkpoint": "ckpt-7", "number": 7, "step": 700, "primary": "accuracy", "goal": "Maximize"}
    assert expected.items() <= manifest.items()
    assert manifest["metrics"][0] == {"name": "accuracy", "dataset": "default", "value": "0.75"}
    assert (manifest["format"], manifest["origin"]) == ("Fake", "checkpoint")
    assert manifest["evaluatedAt"] == "1970-01-01T00:00:12.000000Z"
    assert (scene.output / "ckpt-7" / manifest["path"]).name == scene.listed(7).path.name
    assert scene.visible() == ["ckpt-7"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_manifest_is_strict_json_whatever_the_other_metrics_are(value: float, simple: Scene) -> None:
    checkpoint = simple.save(1)
    scores = (Score("accuracy", 0.5), Score("loss", value))
    assert simple.copies.keep(checkpoint, outcome_of(checkpoint, scores=scores)) == ""

    def fail(constant: str) -> None:
        raise AssertionError(constant)

    text = (simple.output / "ckpt-1" / MANIFEST).read_text()
    assert float(json.loads(text, parse_constant=fail)["metrics"][1]["value"]) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_best_are_kept(keep: int, tmp_path: Path) -> None:
    scene = Scene(tmp_path, keep=keep)
    for number in range(1, 6):
        checkpoint = scene.save(number)
        assert scene.copies.keep(checkpoint, outcome_of(checkpoint, number / 10)) == ""
        scene.now += 1
    assert scene.visible() == [f"ckpt-{number}" for number in range(5, 5 - keep, -1)]
    assert len(list(scene.output.iterdir())) == keep


def test_the_newest_copy_is_of_the_best_also_where_the_clock_is_behind(tmp_path: Path) -> None:
    scene = Scene(tmp_path, keep=3)
    for number in (1, 2, 3):
        checkpoint = scene.save(number)
        scene.copies.keep(checkpoint, outcome_of(checkpoint))
        scene.now -= 500
    assert scene.visible() == ["ckpt-3", "ckpt-2", "ckpt-1"]


@pytest.mark.parametrize("loss", ["deleted", "rewritten", "unreadable"])
def test_what_is_lost_before_it_is_copied_is_written_from_memory(
    loss: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = scene.save(7)
    if loss == "deleted":
        scene.delete(checkpoint)
    elif loss == "rewritten":
        scene.delete(checkpoint)
        scene.save(7, b"newer weights")
    else:
        make_unreadable(monkeypatch, scene.checkpoints)
    assert scene.copies.keep(checkpoint, outcome_of(checkpoint), export) == ""
    manifest = scene.manifest("ckpt-7")
    assert (manifest["origin"], manifest["format"]) == ("memory", "KerasWeights")
    assert manifest["path"] == "ckpt-7.weights.h5"
    assert (scene.output / "ckpt-7" / "ckpt-7.weights.h5").read_bytes() == b"weights from memory"
    assert {path.name for path in (scene.output / "ckpt-7").iterdir()} == {"ckpt-7.weights.h5", MANIFEST, MARKER}


def make_unreadable(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    real = Path.open

    def fail(path: Path, *arguments: Any, **others: Any) -> Any:
        if path.is_relative_to(directory):
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *arguments, **others)

    monkeypatch.setattr(Path, "open", fail)


def lose_while_copying(monkeypatch: pytest.MonkeyPatch, scene: Scene, lose: Callable[[], object]) -> None:
    """Let training do something right after the first file of the next checkpoint was copied."""
    real, done = copying._copy, list[object]()

    def copy(directory: Path, name: str, place: Path) -> copying.Copied:
        copied = real(directory, name, place)
        if not done and directory == scene.checkpoints:
            done.append(lose())
        return copied

    monkeypatch.setattr(copying, "_copy", copy)


@pytest.mark.parametrize("loss", ["deleted", "rewritten"])
def test_what_is_lost_while_it_is_copied_is_written_from_memory(
    loss: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = scene.save(7)
    lose = (lambda: scene.delete(checkpoint)) if loss == "deleted" else (lambda: scene.save(7, b"newer weights"))
    lose_while_copying(monkeypatch, scene, lose)
    assert scene.copies.keep(checkpoint, outcome_of(checkpoint), export) == ""
    assert scene.manifest("ckpt-7")["origin"] == "memory"


def test_without_a_way_to_write_it_what_is_lost_is_told_and_the_older_copy_stays(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = scene.save(1), scene.save(2)
    assert scene.copies.keep(first, outcome_of(first)) == ""
    scene.delete(second)
    assert "deleted" in scene.copies.keep(second, outcome_of(second))
    assert "ckpt-2 could not be copied" in caplog.text
    assert scene.visible() == ["ckpt-1"]


@pytest.mark.parametrize("trouble", [RuntimeError("out of memory"), OSError(errno.ENOSPC, "No space left on device")])
def test_trouble_with_writing_from_memory_is_told_and_leaves_nothing_behind(trouble: Exception, simple: Scene) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"part")
        raise trouble

    checkpoint = simple.save(1)
    simple.delete(checkpoint)
    assert str(trouble.args[-1]) in simple.copies.keep(checkpoint, outcome_of(checkpoint), fail)
    assert list(simple.output.iterdir()) == []


class Failing:
    """Lets the n-th of the calls that change a file system fail, and those after it as asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, error: int, *, for_good: bool) -> None:
        self.calls, self._number, self._error, self._for_good = 0, number, error, for_good
        for name in ("open", "write", "fsync", "mkdir"):
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **others: Any) -> Any:
            self.calls += 1
            if self.calls == self._number or (self._for_good and self.calls > self._number):
                raise OSError(self._error, os.strerror(self._error))
            return real(*arguments, **others)

        return call


@pytest.mark.parametrize("for_good", [False, True])
def test_a_failure_at_any_point_shows_no_part_and_is_made_good_later(
    tmp_path: Path, for_good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _file: None)  # takes most of the time, and is not what is tested
    for number in range(1, 200):
        (tmp_path / str(number)).mkdir()
        scene = Scene(tmp_path / str(number), "tree")
        first, second = scene.save(1), scene.save(2)
        assert scene.copies.keep(first, outcome_of(first)) == ""
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, number, errno.ENOSPC, for_good=for_good)
            trouble = scene.copies.keep(second, outcome_of(second))
        assert scene.visible() == (["ckpt-1"] if trouble else ["ckpt-2"])
        assert scene.copies.reconcile(outcome_of(second), scene.find) == ""
        assert scene.visible()[0].startswith("ckpt-2")
        assert len(scene.visible()) == 1
        if failing.calls < number:
            break
    assert number > 20


def test_a_copy_that_reads_back_differently_is_no_copy(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def flip(file: int, content: Any) -> int:
        return real(file, bytes(content).replace(b"weights", b"weighty"))

    checkpoint = scene.save(7)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", flip)
        assert "reads back differently" in scene.copies.keep(checkpoint, outcome_of(checkpoint))
    assert scene.visible() == []
    assert scene.copies.keep(checkpoint, outcome_of(checkpoint)) == ""


def test_a_file_system_without_sync_is_good_enough(simple: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(_file: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "fsync", cannot)
    checkpoint = simple.save(1)
    assert simple.copies.keep(checkpoint, outcome_of(checkpoint)) == ""


def test_where_nothing_can_be_deleted_the_newest_copy_is_of_the_best(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(os, "rmdir", refuse)
    for number in (1, 2):
        checkpoint = scene.save(number)
        assert scene.copies.keep(checkpoint, outcome_of(checkpoint)) == ""
        scene.now += 1
    assert scene.visible() == ["ckpt-2", "ckpt-1"]
    checkpoint = scene.save(3)
    with monkeypatch.context() as patch:
        make_unreadable(patch, scene.checkpoints)
        assert scene.copies.keep(checkpoint, outcome_of(checkpoint)) != ""
    assert scene.restarted().reconcile(outcome_of(checkpoint), scene.find) == ""
    assert scene.visible() == ["ckpt-3~2", "ckpt-2", "ckpt-1"]


def test_a_name_that_is_written_again_is_copied_beside_the_older_one_before_that_is_deleted(simple: Scene) -> None:
    first = simple.save("best", b"first")
    assert simple.copies.keep(first, outcome_of(first)) == ""
    assert simple.copies.reconcile(outcome_of(first), simple.find) == ""
    assert simple.visible() == ["ckpt-best"]
    second = simple.save("best", b"second")
    os.utime(simple.checkpoints / "ckpt-best.index", ns=(0, second.files[0].modified_ns + 10**9))
    second = simple.listed("best")
    assert simple.copies.reconcile(outcome_of(second), simple.find) == ""
    assert simple.visible() == ["ckpt-best~2"]
    assert (simple.output / "ckpt-best~2" / "ckpt-best.index").read_bytes().endswith(b"second")


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
    monkeypatch.setattr(copying, "_copy", refuse)
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
    copies = BestCopies(simple.checkpoints, 1, ACCURACY)
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
    assert [found.name for found in Directory(scene.checkpoints).look().checkpoints] == ["ckpt-1"]


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
    monkeypatch.setattr(copying, "_BLOCK", 1000)
    checkpoint = simple.save(1, os.urandom(12_345))
    assert simple.copies.keep(checkpoint, outcome_of(checkpoint)) == ""
    assert simple.visible() == ["ckpt-1"]


def test_nothing_is_best_yet(simple: Scene) -> None:
    assert simple.copies.reconcile(None, simple.find) == ""
    assert not simple.output.exists()
