"""The poll interval: pure computation."""

import pytest

from sidecar_evaluator.discovery.poll_interval import LONGEST, SHARE, USUAL, PollInterval, poll_seconds

MINUTE = [60.0, 60.0, 60.0]


@pytest.mark.parametrize(
    ("look", "since", "gaps", "seconds"),
    [
        (0.0001, 5.0, [], 0.1),  # quick looks: as often as is allowed
        (0.01, 5.0, [], 0.5),  # two percent of the time
        (0.05, 5.0, [], 1.0),  # no slower than that while one may come at any moment
        (0.3, 5.0, [], 3.0),  # but a listing takes a tenth of the time at most
        (2.0, 5.0, [], 5.0),
        (0.03, 5.0, MINUTE, 3.0),  # the next is due in a minute
        (0.2, 5.0, MINUTE, 5.0),
        (0.2, 54.0, MINUTE, 2.0),  # not past the moment from which it is due
        (0.2, 55.95, MINUTE, 0.1),
        (0.2, 60.0, MINUTE, 1.0),  # due
        (0.01, 60.0, MINUTE, 0.5 * 2 * 8 / 64),  # the budget of the whole minute is spent now
        (0.05, 60.0, MINUTE, 2.5 * 2 * 8 / 64),
        (1.0, 60.0, MINUTE, 1 / 0.33),
        (0.2, 70.0, MINUTE, 5.0),  # overdue: training pauses or has ended
        (0.01, 70.0, MINUTE, 0.5),
        (0.2, 25.0, [20.0, 30.0], 1.0),  # due from the shortest to the longest gap
        (0.2, 1.5, [2.0], 1.0),
    ],
)
def test_polls_keep_to_their_budget_and_are_there_when_a_checkpoint_is_due(
    look: float, since: float, gaps: list[float], seconds: float
) -> None:
    assert poll_seconds(look, since, gaps, shortest=0.1) == pytest.approx(seconds)


@pytest.mark.parametrize("look", [0.0, 1e-4, 0.01, 0.1, 1.0, 60.0])
@pytest.mark.parametrize("gaps", [[], [0.0], [1.0], [10.0, 600.0], [1e6]])
def test_no_poll_is_slower_than_the_longest_or_quicker_than_the_shortest(look: float, gaps: list[float]) -> None:
    for since in (0.0, 0.5, 9.0, 60.0, 1e5, 1e7):
        assert 0.1 <= poll_seconds(look, since, gaps, shortest=0.1) <= LONGEST


def polled(look: float, cadence: float, periods: int) -> tuple[list[float], float]:
    """Poll for checkpoints that come at a cadence; return how late each was noticed and the share of time in looks."""
    interval, now, busy, late, newest = PollInterval(0.1), 0.0, 0.0, list[float](), 0
    while len(late) < periods:
        now += look
        busy += look
        if now >= (newest + 1) * cadence:
            late.append(now - (newest + 1) * cadence)
            newest = int(now / cadence)
        interval.record_poll(look, newest * cadence or None, now)
        now += interval.poll_seconds(now)
    return late, busy / now


def test_a_bucket_is_polled_when_its_next_checkpoint_is_due() -> None:
    late, share = polled(look=0.1, cadence=61.7, periods=20)
    assert max(late[3:]) <= USUAL + 0.2  # the poll and the look itself
    assert share <= 2 * SHARE  # the longest time between two looks costs half of it


def test_a_cheap_listing_keeps_its_budget_at_any_cadence() -> None:
    for cadence in (0.7, 7.0, 70.0):
        late, share = polled(look=0.015, cadence=cadence, periods=20)
        assert max(late[3:]) <= USUAL
        assert share <= 1.1 * SHARE


def test_a_file_that_grows_for_seconds_is_one_checkpoint() -> None:
    interval = PollInterval(0.1)
    for number in range(4):
        for seconds in range(5):
            interval.record_poll(0.2, 60.0 * number + seconds, 60.0 * number + seconds)
    assert interval.poll_seconds(184.0 + 30.0) == LONGEST  # nothing is due in the middle of a minute
    assert interval.poll_seconds(184.0 + 60.0) == USUAL


def test_one_long_look_into_a_checkpoint_slows_nothing_down() -> None:
    interval = PollInterval(0.02)
    for seconds in (0.001, 0.001, 30.0):
        interval.record_poll(seconds, None, 100.0)
    assert interval.poll_seconds(100.0) == 0.05
    assert interval.delay_seconds(100.0) == 0.0


def test_changes_are_looked_at_at_once_until_a_burst_of_them_costs_too_much() -> None:
    interval, now, looks = PollInterval(), 0.0, 0
    for _ in range(3000):  # something changes all the time
        now += 0.03
        interval.record_poll(0.03, None, now)
        looks += 1
        now += interval.delay_seconds(now)
        if looks == 15:
            assert now == pytest.approx(15 * 0.03)
    assert looks * 0.03 / now == pytest.approx(0.1, abs=0.02)
    assert interval.delay_seconds(now + 60) == 0.0
