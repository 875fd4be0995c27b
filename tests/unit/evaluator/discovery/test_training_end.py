import pytest

from sidecar_evaluator.discovery.training_end import STOPPING_SECONDS, TrainingState


@pytest.mark.parametrize(
    ("states", "seconds", "has_come"),
    [
        ([], 1e9, False),
        (["Pending", "Running", "Suspended"], 1e9, False),
        (["Running", "Succeeded"], 0, True),
        (["Running", "Gone"], 0, False),
        (["Failed"], STOPPING_SECONDS - 1, False),
        (["Failed", "Failed"], STOPPING_SECONDS, True),
        (["Gone"], STOPPING_SECONDS, True),
        (["Gone", "Running"], 1e9, False),
        (["Succeeded", "Pending"], 1e9, False),
        (["Gone", "Running", "Succeeded"], 0, True),
    ],
)
def test_pods_of_a_training_that_did_not_end_by_itself_may_save_once_more(
    states: list[str], seconds: float, has_come: bool
) -> None:
    now = [100.0]
    end = TrainingState(lambda: now[0])
    for state in states:
        end.report(state)
    now[0] += seconds
    assert end.has_ended() is has_come
