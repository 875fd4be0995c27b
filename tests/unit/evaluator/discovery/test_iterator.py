"""The iterator against a directory in memory and a clock that never sleeps."""

import errno
import itertools
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.backlog import Remaining
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.discovery.poll_interval import LONGEST
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.errors import StorageGoneError
from sidecar_evaluator.results.ledger import EndReason
from unit.evaluator.support.fakes import (
    FORMAT,
    FakeFormat,
    checkpoint,
    evaluated,
)
from unit.evaluator.support.iterating import Scene


def finished_scene(*names: str, **policy: Any) -> Scene:
    scene = Scene(*(checkpoint(name, modified=float(at)) for at, name in enumerate(names)), **policy)
    scene.finished.set()
    return scene


@pytest.mark.parametrize(
    ("names", "selection", "expected", "skipped"),
    [
        (["ckpt-1", "ckpt-2", "ckpt-10"], "Latest", ["ckpt-10"], 2),
        (["ckpt-10", "ckpt-9", "ckpt-2"], "Every", ["ckpt-2", "ckpt-9", "ckpt-10"], 0),
        (["ckpt-0003", "ckpt-0012"], "Latest", ["ckpt-0012"], 1),
        (["weights.05-0.32", "weights.04-0.40"], "Every", ["weights.04-0.40", "weights.05-0.32"], 0),
        (["b", "a"], "Every", ["b", "a"], 0),
        (["b", "a"], "Latest", ["a"], 1),
        ([], "Latest", [], 0),
    ],
)
def test_selection(names: list[str], selection: str, expected: list[str], skipped: int) -> None:
    scene = finished_scene(*names, selection=Selection(selection))
    assert scene.drain() == expected
    assert sum(remaining.skipped for remaining in scene.remaining) == skipped
    assert scene.iterator.ended is EndReason.TRAINING_FINISHED


def test_each_new_checkpoint_is_handed_out_once() -> None:
    scene = Scene()
    for number in (1, 2, 3):
        scene.clock.at(number * 5.0, partial(scene.directory.add, checkpoint(f"ckpt-{number}")))
    scene.clock.at(20.0, scene.finished.set)
    assert scene.drain() == ["ckpt-1", "ckpt-2", "ckpt-3"]


def test_newer_ones_that_came_during_an_evaluation_are_skipped_and_counted() -> None:
    scene = Scene(checkpoint("ckpt-1"))
    candidates = iter(scene.iterator)
    (first,) = next(candidates)
    scene.directory.add(checkpoint("ckpt-2"), checkpoint("ckpt-3"), checkpoint("ckpt-4"))
    assert scene.iterator.settle(first).backlog == 3
    scene.finished.set()
    assert list(scene.settle_all(candidates)) == ["ckpt-4"]
    assert scene.remaining == [Remaining(skipped=2)]


def test_a_half_written_checkpoint_is_not_there_yet() -> None:
    scene = Scene(checkpoint("ckpt-1"), checkpoint("ckpt-2", missing="a shard"))
    scene.clock.at(60.0, lambda: scene.directory.add(checkpoint("ckpt-2", size=2)))
    scene.clock.at(90.0, scene.finished.set)
    assert scene.drain() == ["ckpt-1", "ckpt-2"]


def test_a_directory_that_cannot_be_listed_is_not_drained() -> None:
    scene = Scene(checkpoint("ckpt-1"))
    scene.finished.set()
    scene.directory.fresh = False
    scene.clock.at(30.0, lambda: setattr(scene.directory, "fresh", True))
    assert scene.drain() == ["ckpt-1"]


@pytest.mark.parametrize("selection", list(Selection))
def test_a_checkpoint_still_half_written_after_training_is_unreadable_in_the_end(selection: Selection) -> None:
    scene = Scene(checkpoint("ckpt-1"), checkpoint("ckpt-2", missing="a shard"), selection=selection)
    scene.finished.set()
    began = scene.clock.now
    assert scene.drain() == ["ckpt-1", "ckpt-2 unreadable"]
    assert 7.5 <= scene.clock.now - began < 20


def test_a_checkpoint_completed_while_it_is_given_its_last_chances_is_evaluated() -> None:
    scene = Scene(checkpoint("ckpt-1", missing="its index"))
    scene.finished.set()
    scene.clock.at(3.0, lambda: scene.directory.add(checkpoint("ckpt-1", size=2)))
    assert scene.drain() == ["ckpt-1"]


def test_a_failed_read_is_retried_with_back_off_and_then_given_up() -> None:
    scene = finished_scene("ckpt-1")
    attempts = []
    for (candidate,) in scene.iterator:
        attempts.append(scene.clock.now - 1000.0)
        if not scene.iterator.retry(candidate, "damaged"):
            scene.iterator.settle(candidate)
    waits = [after - before for before, after in itertools.pairwise(attempts)]
    assert waits == pytest.approx([0.5, 1.0, 2.0, 4.0], abs=0.1)
    assert scene.iterator.ended is EndReason.TRAINING_FINISHED


def test_a_bad_checkpoint_does_not_stop_the_rest() -> None:
    scene = finished_scene("ckpt-1", "ckpt-2", "ckpt-3", selection=Selection.EVERY)
    order = []
    for (candidate,) in scene.iterator:
        bad = candidate.name == "ckpt-2"
        if not (bad and scene.iterator.retry(candidate, "damaged")):
            order.append(candidate.name)
            scene.remaining.append(scene.iterator.settle(candidate))
    assert order == ["ckpt-1", "ckpt-3", "ckpt-2"]
    assert [remaining.pending for remaining in scene.remaining] == [(2, 3), (2,), ()]


def test_a_newer_checkpoint_wins_over_one_that_is_retried() -> None:
    scene = Scene(checkpoint("ckpt-1"))
    candidates = iter(scene.iterator)
    assert scene.iterator.retry(next(candidates)[0], "damaged")
    scene.directory.add(checkpoint("ckpt-2"))
    scene.finished.set()
    assert list(scene.settle_all(candidates)) == ["ckpt-2"]
    assert scene.remaining == [Remaining(skipped=1)]


def test_attempts_start_anew_when_the_files_change() -> None:
    scene = Scene(checkpoint("ckpt-1"))
    for _ in range(4):
        assert scene.iterator.retry(checkpoint("ckpt-1"), "damaged")
    assert scene.iterator.retry(checkpoint("ckpt-1", size=9), "damaged")


def test_a_checkpoint_deleted_from_the_backlog_is_gone() -> None:
    scene = Scene(checkpoint("ckpt-1"), checkpoint("ckpt-2"), selection=Selection.EVERY)
    candidates = iter(scene.iterator)
    (first,) = next(candidates)
    scene.directory.remove("ckpt-2")
    scene.finished.set()
    scene.iterator.settle(first)
    assert list(scene.settle_all(candidates)) == ["ckpt-2 gone"]


def test_a_deleted_checkpoint_is_gone_also_while_another_is_half_written() -> None:
    scene = Scene(checkpoint("ckpt-1"), checkpoint("ckpt-2"), selection=Selection.EVERY)
    candidates = iter(scene.iterator)
    (first,) = next(candidates)
    scene.directory.remove("ckpt-2")
    scene.directory.add(checkpoint("ckpt-3", missing="a shard"))
    scene.iterator.settle(first)
    assert next(iter(scene.settle_all(candidates))) == "ckpt-2 gone"


def test_a_checkpoint_deleted_between_two_attempts_is_gone() -> None:
    scene = Scene(checkpoint("ckpt-1"))
    candidates = iter(scene.iterator)
    assert scene.iterator.retry(next(candidates)[0], "damaged")
    scene.directory.remove("ckpt-1")
    scene.finished.set()
    assert list(scene.settle_all(candidates)) == ["ckpt-1 gone"]


def test_an_older_number_that_comes_late_is_evaluated_under_every_only() -> None:
    for selection, expected in ((Selection.EVERY, ["ckpt-5", "ckpt-4"]), (Selection.LATEST, ["ckpt-5"])):
        scene = Scene(checkpoint("ckpt-5"), selection=selection)
        scene.clock.at(5.0, partial(scene.directory.add, checkpoint("ckpt-4")))
        scene.clock.at(9.0, scene.finished.set)
        assert scene.drain() == expected


def test_a_fixed_name_that_is_overwritten_is_a_new_checkpoint() -> None:
    scene = Scene(checkpoint("best", modified=1.0))
    scene.clock.at(5.0, lambda: scene.directory.add(checkpoint("best", modified=6.0)))
    scene.clock.at(9.0, scene.finished.set)
    assert scene.drain() == ["best", "best"]


def test_a_fixed_name_that_is_overwritten_before_it_was_evaluated_is_not_gone() -> None:
    scene = Scene(checkpoint("first", modified=1.0), checkpoint("best", modified=2.0), selection=Selection.EVERY)
    scene.finished.set()
    candidates = iter(scene.iterator)
    taken = [next(candidates)]
    scene.directory.add(checkpoint("best", modified=3.0))
    assert list(scene.settle_all(itertools.chain(taken, candidates))) == ["first", "best"]


@pytest.mark.parametrize(("limit", "expected"), [(4, ["ckpt-2", "ckpt-5"]), (5, ["ckpt-2", "ckpt-5"]), (2, ["ckpt-2"])])
def test_it_stops_at_or_past_the_maximum(limit: int, expected: list[str]) -> None:
    scene = Scene(checkpoint("ckpt-2"), checkpoint("ckpt-5"), selection=Selection.EVERY, max_evaluations=limit)
    assert scene.drain() == expected
    assert scene.iterator.ended is EndReason.MAX_EVALUATIONS


def test_a_restart_past_the_maximum_ends_at_once() -> None:
    scene = Scene(checkpoint("ckpt-9"), max_evaluations=5)
    scene.iterator.settled.raise_highest(7)
    assert scene.drain() == []
    assert scene.iterator.ended is EndReason.MAX_EVALUATIONS
    assert scene.iterator.ended_by == "a checkpoint has the number 7, at least 5"


def test_the_timeout_counts_from_the_last_new_checkpoint() -> None:
    scene = Scene(no_checkpoint_timeout=60.0)
    scene.clock.at(50.0, lambda: scene.directory.add(checkpoint("ckpt-1")))
    assert scene.drain() == ["ckpt-1"]
    assert scene.clock.now - 1000.0 == pytest.approx(110.0, abs=2.5)
    assert scene.iterator.ended is EndReason.NO_CHECKPOINT_TIMEOUT


def test_a_sentinel_file_ends_it_after_the_last_checkpoint() -> None:
    scene = Scene()
    scene.directory.touch("training.finished")
    scene.clock.at(0.02, lambda: scene.directory.add(checkpoint("ckpt-9")))
    assert scene.drain() == ["ckpt-9"]


def test_a_stop_ends_it_without_a_reason() -> None:
    scene = Scene()
    scene.clock.at(5.0, scene.stop.set)
    assert scene.drain() == []
    assert scene.iterator.ended is None


def test_what_an_earlier_process_settled_is_not_handed_out() -> None:
    scene = finished_scene("ckpt-1", "ckpt-2", selection=Selection.EVERY)
    scene.iterator.settled.restore(evaluated("ckpt-1", number=1))
    assert scene.drain() == ["ckpt-2"]


def test_it_waits_for_a_change_as_long_as_nothing_is_to_be_looked_at_again() -> None:
    scene = Scene()
    scene.clock.at(30.0, scene.stop.set)
    scene.drain()
    assert set(scene.changes.waits) == {LONGEST}


def test_a_half_written_checkpoint_is_looked_at_again_less_and_less_often() -> None:
    scene = Scene(checkpoint("ckpt-1", missing="a shard"))
    scene.clock.at(5.0, scene.stop.set)
    scene.drain()
    assert scene.changes.waits[:6] == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.64])
    assert set(scene.changes.waits[6:]) == {1.0}


def test_after_the_end_it_looks_until_even_an_old_listing_must_show_the_last_checkpoint() -> None:
    scene = Scene(listing_age=60.0)
    scene.finished.set()
    scene.clock.at(55.0, lambda: scene.directory.add(checkpoint("ckpt-9")))
    assert scene.drain() == ["ckpt-9"]
    assert scene.clock.now - 1000.0 == pytest.approx(60.0, abs=1.1)


def test_several_that_wait_under_every_come_together() -> None:
    scene = finished_scene(*(f"ckpt-{number}" for number in range(1, 6)), selection=Selection.EVERY)
    scene.iterator.group_limit = lambda waiting: min(waiting, 2)
    groups = []
    for group in scene.iterator:
        groups.append([candidate.number for candidate in group])
        for candidate in group:
            scene.iterator.settle(candidate)
    assert groups == [[1, 2], [3, 4], [5]]


def test_a_group_ends_with_the_maximum() -> None:
    scene = Scene(*(checkpoint(f"ckpt-{n}") for n in (1, 2, 3, 4)), selection=Selection.EVERY, max_evaluations=2)
    scene.iterator.group_limit = lambda waiting: waiting
    assert [candidate.number for candidate in next(iter(scene.iterator))] == [1, 2]


def test_only_what_comes_next_is_looked_into_and_only_until_it_is_whole() -> None:
    names = [f"ckpt-{number}" for number in range(1, 50)]
    scene = finished_scene(*names, selection=Selection.EVERY)
    FORMAT.inspections.clear()
    next(iter(scene.iterator))
    assert FORMAT.inspections == ["ckpt-1"]
    scene.drain()
    assert sorted(FORMAT.inspections) == sorted(names)


@pytest.mark.parametrize(
    ("selection", "expected"), [(Selection.EVERY, ["ckpt-2", "ckpt-3"]), (Selection.LATEST, ["ckpt-4"])]
)
def test_what_comes_next_may_be_asked_meanwhile(selection: Selection, expected: list[str]) -> None:
    scene = Scene(checkpoint("ckpt-1"), selection=selection)
    ((first,),) = (next(iter(scene.iterator)),)
    assert scene.iterator.upcoming([first], 2) == []
    scene.directory.add(*(checkpoint(f"ckpt-{number}") for number in (2, 3, 4)))
    assert [candidate.name for candidate in scene.iterator.upcoming([first], 2)] == expected


@pytest.mark.parametrize(
    ("exists", "files", "expected"),
    [
        (False, [], "/checkpoints/run does not exist; / holds "),
        (True, [], "no file yet"),
        (True, ["model.keras"], "only model.keras"),
    ],
)
def test_every_half_minute_of_silence_is_explained(
    exists: bool, files: list[str], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    scene.directory.exists = exists
    for name in files:
        scene.directory.touch(name)
    scene.clock.at(100.0, scene.stop.set)
    with caplog.at_level("INFO"):
        scene.drain()
    assert len(caplog.messages) == 3
    assert all(expected in message for message in caplog.messages)


def test_checkpoints_in_subdirectories_are_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.directory.below = ["run-1", "run-2"]
    scene.clock.at(32.0, scene.stop.set)
    with caplog.at_level("INFO"):
        scene.drain()
    assert "holds no checkpoint, but run-1, run-2 below it does: name that directory" in caplog.text


def test_a_file_that_grows_on_after_a_pause_is_evaluated_once_it_is_whole(tmp_path: Path) -> None:
    """Its size may stand still for two looks although its end is not written yet."""

    class Lines(FakeFormat):
        def inspect(self, checkpoint: Checkpoint) -> str:
            return "" if checkpoint.files[0].size == 8 else "its end"

    scene = Scene(directory=Directory(tmp_path, formats=[Lines()]))
    path = tmp_path / "ckpt-1"
    path.write_text("half")
    scene.clock.at(3.0, lambda: path.write_text("whole it"))
    scene.clock.at(9.0, scene.finished.set)
    assert scene.drain() == ["ckpt-1"]


@pytest.mark.parametrize("error", [TypeError("no bytes came"), OSError(errno.EAGAIN, "try again")])
def test_a_format_that_cannot_look_into_a_file_delays_that_checkpoint_only(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = finished_scene("ckpt-1", "ckpt-2", selection=Selection.EVERY)

    def inspect(candidate: Checkpoint) -> str:
        if candidate.name == "ckpt-1" and scene.clock.now < 1002.0:
            raise error
        return ""

    monkeypatch.setattr(FORMAT, "inspect", inspect)
    assert scene.drain() == ["ckpt-2", "ckpt-1"]


def test_a_dead_mount_ends_the_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    def inspect(_candidate: Checkpoint) -> str:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(FORMAT, "inspect", inspect)
    with pytest.raises(StorageGoneError):
        finished_scene("ckpt-1").drain()
