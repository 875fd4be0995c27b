import pytest

from benchmarks.evaluating import WrongScoreError, require_same

EXPECTED = {"loss": 0.5, "accuracy": 0.9}


def test_scores_that_agree_to_the_tolerance_pass() -> None:
    require_same(EXPECTED, {"accuracy": 0.9 + 9e-7, "loss": 0.5 - 9e-7})


@pytest.mark.parametrize(
    "actual",
    [
        {"loss": 0.5, "accuracy": 0.9 + 2e-6},
        {"loss": 0.5},
        {**EXPECTED, "auc": 1.0},
        {"loss": float("nan"), "accuracy": 0.9},
    ],
)
def test_a_wrong_missing_or_unasked_score_is_refused(actual: dict[str, float]) -> None:
    with pytest.raises(WrongScoreError, match="expected"):
        require_same(EXPECTED, actual)
