import pytest

from benchmarks import measure
from benchmarks.rows import Figure


def test_sides_take_turns_and_none_always_comes_first() -> None:
    order: list[str] = []
    sides = {name: lambda name=name: order.append(name) for name in "ABC"}
    measure.interleaved(sides, rounds=6, warm_up=0)
    rounds = [order[start : start + 3] for start in range(0, 18, 3)]
    assert all(sorted(one) == ["A", "B", "C"] for one in rounds)
    assert {one[0] for one in rounds} == {"A", "B", "C"}
    followers = {name: {order[i + 1] for i in range(17) if order[i] == name} for name in "ABC"}
    assert all(len(others) > 1 for others in followers.values())


def test_rounds_to_warm_up_are_not_counted() -> None:
    calls: list[int] = []
    sides = measure.interleaved({"A": lambda: calls.append(1)}, rounds=3, warm_up=2)
    assert len(calls) == 5
    assert sides["A"].median >= 0


def test_what_sides_return_is_summed_up() -> None:
    values = iter([1.0, 5.0, 3.0])
    assert measure.in_turn({"A": lambda: next(values)}, rounds=3) == {"A": Figure(3.0, 5.0, 5.0)}


def test_waiting_ends_with_the_condition_or_with_the_limit() -> None:
    answers = iter([False, False, True])
    measure.until(lambda: next(answers), limit=60, pause=0)
    with pytest.raises(TimeoutError, match=r"within 0 s"):
        measure.until(lambda: False, limit=0, pause=0)


def test_peak_memory_is_read_from_a_process_status() -> None:
    assert measure.peak_memory(["VmPeak:\t 99 kB", "VmHWM:\t  2048 kB"]) == 2.0
    assert measure.peak_memory() > 1
