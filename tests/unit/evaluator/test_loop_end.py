"""The loop's last line in the log: why nothing is left to evaluate."""

import re

import pytest

from unit.evaluator.test_loop import Scene


def test_it_says_which_number_has_reached_the_maximum(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene("ckpt-150", maximum=2)
    with caplog.at_level("INFO"):
        scene.loop.run()
    assert caplog.messages[-1] == (
        "Nothing is left to evaluate: MaxEvaluations (a checkpoint has the number 150, at least 2)."
    )


def test_it_says_what_was_there_instead_of_checkpoints(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.directory.touch("model.h5")
    with caplog.at_level("INFO"):
        scene.loop.run()
    assert re.search(
        r"Nothing is left to evaluate: \w+\. No checkpoint was found: \S+ holds no .* whole, only model.h5",
        caplog.messages[-1],
    )
