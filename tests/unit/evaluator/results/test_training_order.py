"""Where names, steps and times of two checkpoints are not in one order."""

from dataclasses import replace

import pytest

from sidecar_evaluator.checkpoints.name_numbers import number_in
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind
from sidecar_evaluator.results.training_order import contradiction
from unit.evaluator.support.fakes import evaluated


def scored(name: str, *, step: int | None = None, at: float = 0.0) -> Outcome:
    number = number_in(name)
    return evaluated(name, number=number, step=number if step is None else step, modified_at=at)


@pytest.mark.parametrize(
    ("latest", "outcome", "words"),
    [
        (scored("a-1", step=100), scored("a-2", step=200), ""),
        (
            scored("a-1", step=300),
            scored("a-2", step=200),
            "a-1 comes before a-2 by the numbers of their names, but holds",
        ),
        (scored("a-1", step=300), scored("a-2"), ""),  # a format without steps
        (scored("a-2", at=9.0), scored("a-1", at=90.0), ""),  # one that only comes late
        (scored("a-1-9", at=9.0), scored("a-2-1", at=90.0), ""),
        (
            scored("a-2-1", at=9.0),
            scored("a-1-9", at=90.0),
            "a-1-9 comes before a-2-1 by the numbers of their names, but was",
        ),
        (scored("a-2-1", at=9.0), scored("a-7", at=1.0), ""),
        (scored("best", at=9.0), scored("a-7-1", at=1.0), ""),
    ],
)
def test_a_contradiction_is_told(latest: Outcome, outcome: Outcome, words: str) -> None:
    texts = [contradiction(outcome, latest), contradiction(latest, outcome)]
    assert [text[: len(words)] for text in texts] == [words, words]
    assert all(bool(text) == bool(words) for text in texts)


def test_what_training_has_gone_back_to_contradicts_nothing() -> None:
    latest, outcome = scored("a-1", step=300), scored("a-2", step=200)
    assert not contradiction(replace(outcome, is_written_again=True), latest)
    assert not contradiction(replace(outcome, kind=OutcomeKind.FAILED), latest)
    assert not contradiction(outcome, None)
