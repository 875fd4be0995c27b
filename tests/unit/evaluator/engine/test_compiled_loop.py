"""When steps are unrolled, and which of the two loops runs which steps."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sidecar_evaluator.engine import compiled_loop
from sidecar_evaluator.engine.batch_layouts import Layout, Portion
from sidecar_evaluator.engine.compiled_loop import UNROLL, CompiledLoops, worth_unrolling


@pytest.mark.parametrize(
    ("tracing", "running", "steps", "expected"),
    [
        (0.1, 0.0, 0, False),  # nothing is known yet
        (0.1, 0.3, 300, False),  # tracing would take longer than the steps so far
        (0.1, 0.5, 300, True),
        (0.1, 5.0, 300, False),  # long steps use all cores by themselves
        (2.0, 5.0, 1000, False),
    ],
)
def test_only_short_steps_are_unrolled_once_that_pays_off(
    *, tracing: float, running: float, steps: int, expected: bool
) -> None:
    assert worth_unrolling(tracing, running, steps) is expected


def recording(calls: list[tuple[str, int, int]], name: str) -> Callable[..., tuple[int, Mapping[str, Any]]]:
    def loop(start: int, count: int) -> tuple[int, Mapping[str, Any]]:
        calls.append((name, start, count))
        return 10 * count, {"last": name}

    return loop


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (UNROLL - 1, [("simple", 5, UNROLL - 1)]),
        (2 * UNROLL, [("unrolled", 5, 2 * UNROLL)]),
        (2 * UNROLL + 1, [("unrolled", 5, 2 * UNROLL), ("simple", 5 + 2 * UNROLL, 1)]),
    ],
)
def test_the_unrolled_loop_runs_multiples_of_its_factor_and_the_simple_one_the_rest(
    count: int, expected: list[tuple[str, int, int]], layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_loop, "worth_unrolling", lambda *_: True)
    calls: list[tuple[str, int, int]] = []
    loops = CompiledLoops(recording(calls, "simple"), lambda: recording(calls, "unrolled"))
    assert loops.run(Portion(layout, (), 5, count)) == (10 * count, {"last": expected[-1][0]})
    assert calls == expected


def test_without_an_unrolled_loop_the_simple_one_runs_all(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_loop, "worth_unrolling", lambda *_: True)
    calls: list[tuple[str, int, int]] = []
    assert CompiledLoops(recording(calls, "simple")).run(Portion(layout, (), 0, 9)) == (90, {"last": "simple"})
    assert calls == [("simple", 0, 9)]


@pytest.fixture
def layout() -> Layout:
    from sidecar_evaluator.engine.batch_layouts import WholeBatchLayout

    return WholeBatchLayout(None)
