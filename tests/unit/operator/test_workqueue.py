import asyncio
from dataclasses import dataclass

import pytest

from sidecar_operator.kube_objects import Key
from sidecar_operator.workqueue import FIRST_DELAY, LONGEST_DELAY, WorkQueue

A, B = Key("team", "a"), Key("team", "b")


@dataclass
class FakeClock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue:
    return WorkQueue(clock)


def test_duplicates_are_merged_and_order_is_kept(queue: WorkQueue) -> None:
    for key in (A, B, A):
        queue.add(key)
    assert len(queue) == 2
    assert [queue.take(), queue.take(), queue.take()] == [A, B, None]


def test_one_pass_a_key_at_a_time_and_no_wake_up_is_lost(queue: WorkQueue) -> None:
    queue.add(A)
    assert queue.take() == A
    queue.add(A)
    queue.add(A)
    assert queue.take() is None
    queue.done(A)
    assert [queue.take(), queue.take()] == [A, None]


def test_a_delayed_key_comes_when_it_is_due(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after(A, 10)
    assert queue.take() is None
    assert queue.seconds_until_due() == 10
    clock.now += 10
    assert queue.take() == A
    assert queue.seconds_until_due() is None


def test_of_two_dates_the_earlier_holds(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after(A, 10)
    queue.add_after(A, 3)
    queue.add_after(A, 20)
    clock.now += 3
    assert queue.take() == A
    queue.done(A)
    clock.now += 30
    assert queue.take() is None


def test_failures_back_off_until_one_goes_well(queue: WorkQueue, clock: FakeClock) -> None:
    delays = []
    for _ in range(12):
        queue.add(A)
        queue.take()
        delays.append(queue.failed(A))
        clock.now += delays[-1]
        assert queue.take() == A
        queue.done(A) if len(delays) == 12 else queue.failed(A)
    assert delays[0] == FIRST_DELAY
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY
    queue.add(A)
    queue.take()
    assert queue.failed(A) == FIRST_DELAY


def test_a_failed_key_that_was_woken_meanwhile_is_taken_at_once(queue: WorkQueue) -> None:
    queue.add(A)
    queue.take()
    queue.add(A)
    queue.failed(A)
    assert queue.take() == A


def test_a_due_key_that_is_worked_on_waits_for_its_end(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after(A, 1)
    queue.add(A)
    queue.take()
    clock.now += 1
    assert queue.take() is None
    queue.done(A)
    assert queue.take() == A


def test_namespaces_take_turns(queue: WorkQueue) -> None:
    crowd = [Key("crowd", f"e{number}") for number in range(1000)]
    for key in (*crowd, A, B):
        queue.add(key)
    queue.add(Key("late", "a"))
    assert len(queue) == 1003
    taken = [queue.take() for _ in range(7)]
    assert taken == [crowd[0], A, Key("late", "a"), crowd[1], B, crowd[2], crowd[3]]


def test_what_the_api_server_asks_to_wait_is_waited_whatever_wakes_the_key(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add(A)
    queue.take()
    queue.add(A)
    assert queue.failed(A, at_least=30) == 30
    queue.add(A)
    clock.now += 29
    assert queue.take() is None
    clock.now += 1
    assert queue.take() == A
    queue.done(A)
    queue.add(A)
    assert queue.take() == A


async def test_get_waits_for_a_key(queue: WorkQueue) -> None:
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add(A)
    assert await asyncio.wait_for(waiting, 5) == A


async def test_get_waits_for_a_delay() -> None:
    queue = WorkQueue(asyncio.get_running_loop().time)
    queue.add_after(A, 0.01)
    assert await asyncio.wait_for(queue.get(), 5) == A
