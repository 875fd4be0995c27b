"""What the loop says where the order of the checkpoints is in doubt."""

import logging

import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from unit.evaluator.test_loop import FakeModel, Scene


class Restarted(FakeModel):
    """A training that counts its steps anew with the third checkpoint."""

    def read(self, candidate: Checkpoint) -> Weights:
        number = candidate.number or 0
        return Weights((), number * 100 if number < 3 else number * 10)


def test_steps_that_contradict_the_names_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Scene("a-1", "a-2", "a-3", "a-4", model=Restarted()).loop.run()
    (doubt,) = (message for message in caplog.messages if "in doubt" in message)
    assert doubt.startswith("The order of the checkpoints is in doubt: a-2 comes before a-3")
    assert "but holds step 200, and the other step 30." in doubt
