from typing import Any

import pytest

from demo import table

EVALUATED = {
    "checkpoint": "ckpt-2",
    "step": 200,
    "outcome": "evaluated",
    "metrics": [{"name": "accuracy", "dataset": "default", "value": "0.93125"}],
    "durationSeconds": "1.25",
}
FAILED = {"checkpoint": "ckpt-1", "outcome": "failed", "reason": "Unreadable"}


def status(**results: Any) -> dict[str, Any]:
    return {"results": {"history": [EVALUATED, FAILED], "best": {"checkpoint": "ckpt-2"}, "backlog": 3, **results}}


@pytest.mark.parametrize(
    ("shown", "checkpoints"),
    [
        (set(), ["ckpt-1", "ckpt-2"]),
        ({"ckpt-1"}, ["ckpt-2"]),
        ({"ckpt-1", "ckpt-2"}, []),
    ],
)
def test_new_rows_come_once_and_oldest_first(shown: set[str], checkpoints: list[str]) -> None:
    assert [line.split()[0] for line in table.new_rows(status(), shown)] == checkpoints


def test_a_row_shows_scores_best_and_backlog() -> None:
    assert table.row(EVALUATED, status()["results"]).split() == [
        *("ckpt-2", "200", "accuracy=0.9313", "1.2", "s", "*", "3")
    ]


def test_a_checkpoint_without_scores_says_why() -> None:
    assert "failed: Unreadable" in table.row(FAILED, status()["results"])


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], "waiting for the operator"),
        (
            [{"type": "Ready", "status": "False", "reason": "ClaimNotFound", "message": "no runs"}],
            "ClaimNotFound: no runs",
        ),
    ],
)
def test_headline(conditions: list[dict[str, str]], expected: str) -> None:
    assert table.headline({"conditions": conditions}) == expected


def test_scored_samples_leave_the_rest_out() -> None:
    exposition = '# HELP sidecareval_score x\nsidecareval_score{metric="loss"} 0.1\npython_info 1.0\n'
    assert table.scored_samples(exposition) == ['sidecareval_score{metric="loss"} 0.1']
