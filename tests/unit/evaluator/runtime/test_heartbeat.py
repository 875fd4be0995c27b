"""How long the loop may be silent before the liveness probe fails."""

import pytest

from sidecar_evaluator.runtime.heartbeat import Heartbeat
from unit.evaluator.support.fakes import FakeClock


def test_a_loop_that_looks_is_alive_and_a_silent_one_is_not() -> None:
    clock = FakeClock()
    heartbeat = Heartbeat(clock.monotonic)
    clock.now += 59
    assert heartbeat.is_alive()
    clock.now += 2
    assert not heartbeat.is_alive()
    heartbeat.beat()
    assert heartbeat.is_alive()


@pytest.mark.parametrize(
    ("timeout", "after", "alive", "overdue"),
    [(3600.0, 3599, True, False), (3600.0, 3601, True, True), (3600.0, 3700, False, True), (None, 10**6, True, False)],
)
def test_a_long_evaluation_is_healthy_up_to_its_limit(
    timeout: float | None, after: float, alive: bool, overdue: bool
) -> None:
    clock = FakeClock()
    heartbeat = Heartbeat(clock.monotonic)
    heartbeat.begin(timeout)
    clock.now += after
    assert (heartbeat.is_alive(), heartbeat.is_overdue()) == (alive, overdue)
    heartbeat.end()
    assert (heartbeat.is_alive(), heartbeat.is_overdue()) == (True, False)
