"""The iterator while training writes names that it has used before."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.results.ledger import EndReason
from unit.evaluator.support.fakes import Recorder, checkpoint, evaluated
from unit.evaluator.support.iterating import Scene


@pytest.mark.parametrize(
    ("selection", "expected"),
    [(Selection.EVERY, ["ckpt-1", "ckpt-2", "ckpt-1", "ckpt-2"]), (Selection.LATEST, ["ckpt-2", "ckpt-1", "ckpt-2"])],
)
def test_a_training_that_begins_again_under_the_same_names_is_evaluated_again(
    selection: Selection, expected: list[str]
) -> None:
    scene = Scene(checkpoint("ckpt-1", modified=100.0), checkpoint("ckpt-2", modified=200.0), selection=selection)
    scene.clock.at(20.0, partial(scene.directory.add, checkpoint("ckpt-1", modified=9100.0)))
    scene.clock.at(40.0, partial(scene.directory.add, checkpoint("ckpt-2", modified=9200.0)))
    scene.clock.at(60.0, scene.finished.set)
    assert scene.drain() == expected


def test_a_maximum_that_was_reached_before_training_began_again_ends_nothing() -> None:
    scene = Scene(checkpoint("ckpt-1", modified=9100.0), max_evaluations=5, selection=Selection.EVERY)
    for number in range(1, 6):
        scene.iterator.settled.restore(evaluated(f"ckpt-{number}", number=number, modified_at=100.0 * number))
    scene.clock.at(20.0, partial(scene.directory.add, checkpoint("ckpt-5", modified=9500.0)))
    assert scene.drain() == ["ckpt-1", "ckpt-5"]
    assert scene.iterator.ended is EndReason.MAX_EVALUATIONS


def real(scene_path: Path, count: int) -> tuple[Scene, Callable[[int, float], None]]:
    """Return a scene over files, whose last checkpoint is written again just before training ends."""
    directory = Directory(scene_path, formats=[Recorder()], revisits=1)
    scene = Scene(directory=directory, selection=Selection.EVERY)
    directory._clock = scene.clock.monotonic

    def write(number: int, at: float) -> None:
        path = scene_path / f"ckpt-{number}.part"
        path.touch()
        os.utime(path, (at, at))

    for number in range(count):
        write(number, 100.0 + number)
    return scene, write


def test_the_last_checkpoint_is_evaluated_although_its_name_was_used_before(tmp_path: Path) -> None:
    scene, write = real(tmp_path, 50)
    scene.clock.at(60.0, lambda: write(49, 9000.0))
    scene.clock.at(60.0, scene.finished.set)
    assert scene.drain() == [*(f"ckpt-{number}" for number in range(50)), "ckpt-49"]


def test_what_was_not_written_again_delays_no_end(tmp_path: Path) -> None:
    scene, _ = real(tmp_path, 3)
    (tmp_path / "best.part").touch()
    (tmp_path / "log").touch()
    scene.clock.at(60.0, scene.finished.set)
    assert len(scene.drain()) == 4
    assert scene.clock.now < 1065.0


def test_where_times_change_at_every_look_it_ends_nevertheless(tmp_path: Path) -> None:
    scene, write = real(tmp_path, 3)
    for second in range(60, 120):
        scene.clock.at(second, partial(write, 1, 9000.0 * second))
    scene.clock.at(60.0, scene.finished.set)
    assert scene.drain() == ["ckpt-0", "ckpt-1", "ckpt-2"]
    assert scene.clock.now < 1090.0
