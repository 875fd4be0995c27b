"""Copying the best: whole or not there, whatever training, disk and object stores do meanwhile."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.best_checkpoints import sources
from sidecar_evaluator.best_checkpoints.store import MANIFEST, MARKER
from sidecar_evaluator.results.outcome import Score
from unit.evaluator.support.copied_best import LAYOUTS, Scene, export, outcome_of, refuse


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
    real, done = sources._copy, list[object]()

    def copy(directory: Path, name: str, place: Path) -> sources.Copied:
        copied = real(directory, name, place)
        if not done and directory == scene.checkpoints:
            done.append(lose())
        return copied

    monkeypatch.setattr(sources, "_copy", copy)


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


@pytest.mark.parametrize("name", ["best", "7"])
def test_a_name_that_is_written_again_is_copied_beside_the_older_one_before_that_is_deleted(
    simple: Scene, name: str
) -> None:
    first = simple.save(name, b"first")
    assert simple.copies.keep(first, outcome_of(first)) == ""
    assert simple.copies.reconcile(outcome_of(first), simple.find) == ""
    assert simple.visible() == [f"ckpt-{name}"]
    second = simple.save(name, b"second")
    os.utime(simple.checkpoints / f"ckpt-{name}.index", ns=(0, second.files[0].modified_ns + 10**9))
    second = simple.listed(name)
    assert simple.copies.reconcile(outcome_of(second), simple.find) == ""
    assert simple.visible() == [f"ckpt-{name}~2"]
    assert (simple.output / f"ckpt-{name}~2" / f"ckpt-{name}.index").read_bytes().endswith(b"second")
