"""When steps run side by side: which of the two loops gets which steps."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sidecar_evaluator.engine import compiled_loop
from sidecar_evaluator.engine.batch_layouts import Layout, Portion
from sidecar_evaluator.engine.compiled_loop import WIDTH, Loops, worth_widening


@pytest.mark.parametrize(
    ("tracing", "ran", "steps", "expected"),
    [
        (0.1, 0.0, 0, False),  # nothing is known yet
        (0.1, 0.3, 300, False),  # what was gained would not make up for tracing yet
        (0.1, 0.5, 300, True),
        (0.1, 5.0, 300, False),  # long steps use all processors by themselves
        (2.0, 5.0, 1000, False),
    ],
)
def test_only_quick_steps_are_widened_once_that_has_paid_off(
    *, tracing: float, ran: float, steps: int, expected: bool
) -> None:
    assert worth_widening(tracing, ran, steps) is expected


def noting(calls: list[tuple[str, int, int]], name: str) -> Callable[..., tuple[int, Mapping[str, Any]]]:
    def loop(start: int, count: int) -> tuple[int, Mapping[str, Any]]:
        calls.append((name, start, count))
        return 10 * count, {"last": name}

    return loop


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (WIDTH - 1, [("narrow", 5, WIDTH - 1)]),
        (2 * WIDTH, [("wide", 5, 2 * WIDTH)]),
        (2 * WIDTH + 1, [("wide", 5, 2 * WIDTH), ("narrow", 5 + 2 * WIDTH, 1)]),
    ],
)
def test_the_wide_loop_takes_whole_strides_and_the_narrow_one_the_rest(
    count: int, expected: list[tuple[str, int, int]], layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_loop, "worth_widening", lambda *_: True)
    calls: list[tuple[str, int, int]] = []
    both = Loops(noting(calls, "narrow"), lambda: noting(calls, "wide"))
    assert both.run(Portion(layout, (), 5, count)) == (10 * count, {"last": expected[-1][0]})
    assert calls == expected


def test_without_a_wide_loop_the_narrow_one_takes_all(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_loop, "worth_widening", lambda *_: True)
    calls: list[tuple[str, int, int]] = []
    assert Loops(noting(calls, "narrow")).run(Portion(layout, (), 0, 9)) == (90, {"last": "narrow"})
    assert calls == [("narrow", 0, 9)]


@pytest.fixture
def layout() -> Layout:
    from sidecar_evaluator.engine.batch_layouts import HeldLayout

    return HeldLayout(None)
