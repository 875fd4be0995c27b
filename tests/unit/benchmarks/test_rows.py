import json
from dataclasses import asdict

import pytest

from benchmarks.rows import Bound, Budget, Figure, Row, Unit, is_met, percentile, ratio

ROW = Row("a look", Unit.SECONDS, Figure(0.02, 0.05, 0.04), Figure(0.1), Figure(0.016), (Budget(Bound.AT_MOST, 0.05),))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], Figure(3.0)),
        ([1.0, 9.0, 2.0], Figure(2.0, 9.0, 9.0)),
        ([1.0, 2.0, 3.0, 10.0], Figure(2.5, 10.0, 10.0)),
    ],
)
def test_figure_sums_up_what_was_measured(values: list[float], expected: Figure) -> None:
    assert Figure.of(values) == expected


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(1, 95, 1), (20, 95, 19), (21, 95, 20), (100, 95, 95), (100, 100, 100), (4, 50, 2)],
)
def test_percentile_is_one_of_the_values(count: int, percent: float, expected: float) -> None:
    assert percentile(list(range(count, 0, -1)), percent) == expected


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(Bound.AT_MOST, 0.02), True),
        (Budget(Bound.AT_MOST, 0.019), False),
        (Budget(Bound.P95, 0.04), True),
        (Budget(Bound.P95, 0.03), False),
        (Budget(Bound.OF_PEER, 0.2), True),
        (Budget(Bound.OF_PEER, 0.15), False),
        (Budget(Bound.OF_LIMIT, 1.25), True),
        (Budget(Bound.OF_LIMIT, 1.2), False),
        (Budget(Bound.OVER_LIMIT, 0.01), True),
        (Budget(Bound.OVER_LIMIT, 0.001), False),
    ],
)
def test_a_budget_bounds_what_it_names(budget: Budget, expected: bool) -> None:
    assert is_met(ROW, budget) is expected


@pytest.mark.parametrize("bound", Bound)
def test_without_figures_nothing_is_known_of_a_budget(bound: Bound) -> None:
    assert is_met(Row("a look", Unit.SECONDS), Budget(bound, 1.0)) is None


@pytest.mark.parametrize("bound", [Bound.OF_PEER, Bound.OF_LIMIT, Bound.OVER_LIMIT])
def test_a_budget_against_a_side_that_was_not_measured_is_unknown(bound: Bound) -> None:
    assert is_met(Row("a look", Unit.SECONDS, Figure(1.0)), Budget(bound, 1.0)) is None


def test_a_ratio_needs_both_sides() -> None:
    assert ratio(Figure(1.0), Figure(4.0)) == 0.25
    assert ratio(None, Figure(4.0)) is None
    assert ratio(Figure(1.0), None) is None


@pytest.mark.parametrize("row", [ROW, Row("nothing", Unit.REQUESTS, note="no API server")])
def test_a_row_crosses_processes_unchanged(row: Row) -> None:
    assert Row.parse(json.loads(json.dumps(asdict(row)))) == row
