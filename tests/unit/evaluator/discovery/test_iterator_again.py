"""The iterator while training writes names that it has used before."""

from functools import partial

import pytest

from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.results.ledger import EndReason
from unit.evaluator.support.fakes import checkpoint, evaluated
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
