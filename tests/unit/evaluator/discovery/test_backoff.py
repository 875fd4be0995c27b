import pytest

from sidecar_evaluator.discovery.backoff import MOST_ATTEMPTS, SHORTEST_PAUSE, Backoff
from unit.evaluator.support.fakes import checkpoint


@pytest.mark.parametrize(
    ("patience", "pauses"),
    [(0.0, [0.5, 1.0, 2.0, 4.0]), (7.5, [0.5, 1.0, 2.0, 4.0]), (60.0, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])],
)
def test_an_unchanged_checkpoint_is_tried_at_growing_distances_for_as_long_as_the_mount_may_lag(
    patience: float, pauses: list[float]
) -> None:
    retries, candidate, now = Backoff(patience), checkpoint("ckpt-1"), 100.0
    assert retries.is_due(candidate, now)
    for pause in pauses:
        assert retries.fail(candidate, now) == pause
        assert not retries.is_due(candidate, now + pause - 0.01)
        now += pause
        assert retries.is_due(candidate, now)
    assert retries.fail(candidate, now) is None


def test_a_checkpoint_that_changed_starts_anew_after_the_shortest_pause() -> None:
    retries, now = Backoff(), 100.0
    for _ in range(3):
        retries.fail(checkpoint("ckpt-1"), now)
    changed = checkpoint("ckpt-1", modified=2.0)
    assert not retries.is_due(changed, now + SHORTEST_PAUSE - 0.01)
    assert retries.is_due(changed, now + SHORTEST_PAUSE)
    assert retries.fail(changed, now) == SHORTEST_PAUSE


def test_one_that_looks_different_each_time_is_given_up_too() -> None:
    retries = Backoff()
    pauses = [retries.fail(checkpoint("ckpt-1", modified=float(look)), 100.0) for look in range(MOST_ATTEMPTS)]
    assert None not in pauses[:-1]
    assert pauses[-1] is None


def test_a_settled_checkpoint_is_forgotten() -> None:
    retries = Backoff()
    retries.fail(checkpoint("ckpt-1"), 100.0)
    retries.forget(checkpoint("ckpt-1"))
    assert retries.is_due(checkpoint("ckpt-1"), 100.0)
    assert retries.next_due(100.0) is None
