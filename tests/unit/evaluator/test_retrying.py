from sidecar_evaluator.retrying import BACK_OFF_SECONDS, MOST_ATTEMPTS, Retries
from unit.evaluator.fakes import checkpoint


def test_an_unchanged_checkpoint_is_tried_a_few_times_at_growing_distances() -> None:
    retries, found, now = Retries(), checkpoint("ckpt-1"), 100.0
    assert retries.is_due(found, now)
    for pause in BACK_OFF_SECONDS:
        assert retries.fail(found, now) == pause
        assert not retries.is_due(found, now + pause - 0.01)
        now += pause
        assert retries.is_due(found, now)
    assert retries.fail(found, now) is None


def test_a_checkpoint_that_changed_starts_anew_after_the_shortest_pause() -> None:
    retries, now = Retries(), 100.0
    for _ in range(3):
        retries.fail(checkpoint("ckpt-1"), now)
    changed = checkpoint("ckpt-1", modified=2.0)
    assert not retries.is_due(changed, now + BACK_OFF_SECONDS[0] - 0.01)
    assert retries.is_due(changed, now + BACK_OFF_SECONDS[0])
    assert retries.fail(changed, now) == BACK_OFF_SECONDS[0]


def test_one_that_looks_different_each_time_is_given_up_too() -> None:
    retries = Retries()
    pauses = [retries.fail(checkpoint("ckpt-1", modified=float(look)), 100.0) for look in range(MOST_ATTEMPTS)]
    assert None not in pauses[:-1]
    assert pauses[-1] is None


def test_a_settled_checkpoint_is_forgotten() -> None:
    retries = Retries()
    retries.fail(checkpoint("ckpt-1"), 100.0)
    retries.forget(checkpoint("ckpt-1"))
    assert retries.is_due(checkpoint("ckpt-1"), 100.0)
    assert retries.next_due(100.0) is None
