import pytest

from benchmarks.rows import Bound, Budget, Figure, Row, Unit
from benchmarks.table import figure, promise, quantity, render

MET = Row("met", Unit.SECONDS, Figure(0.01), Figure(0.1), budgets=(Budget(Bound.OF_PEER, 0.15),))
MISSED = Row("missed", Unit.SECONDS, Figure(0.3), budgets=(Budget(Bound.AT_MOST, 0.05),))
HALF = Row(
    "half",
    Unit.SECONDS,
    Figure(0.04),
    Figure(0.1),
    budgets=(Budget(Bound.AT_MOST, 0.05), Budget(Bound.OF_PEER, 0.15)),
)
UNKNOWN = Row("unknown", Unit.SECONDS, budgets=(Budget(Bound.AT_MOST, 0.05),), note="no API server")
PLAIN = Row("plain", Unit.MEBIBYTES, Figure(812.4))


def cells(row: Row) -> list[str]:
    line = render("on a machine", {"group": [row]}).splitlines()[5]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1.234, Unit.SECONDS, "1.23 s"),
        (0.335, Unit.SECONDS, "335 ms"),
        (0.0123, Unit.SECONDS, "12.3 ms"),
        (0.00000712, Unit.SECONDS, "7.12 µs"),
        (0.0, Unit.SECONDS, "0 µs"),
        (-0.004, Unit.SECONDS, "-4 ms"),
        (123.0, Unit.SECONDS, "123 s"),
        (812.4, Unit.MEBIBYTES, "812 MiB"),
        (2.2, Unit.MEBIBYTES, "2.2 MiB"),
        (2.0, Unit.REQUESTS, "2"),
    ],
)
def test_a_quantity_is_shown_in_the_size_that_reads_best(value: float, unit: Unit, expected: str) -> None:
    assert quantity(value, unit) == expected


def test_a_figure_shows_its_worst_where_there_were_several() -> None:
    assert figure(Figure(0.012, 0.02, 0.019), Unit.SECONDS) == "12 ms (worst 20 ms)"
    assert figure(Figure(0.012), Unit.SECONDS) == "12 ms"
    assert figure(None, Unit.SECONDS) == "-"


@pytest.mark.parametrize(
    ("budget", "unit", "expected"),
    [
        (Budget(Bound.AT_MOST, 0.05), Unit.SECONDS, "≤ 50 ms"),
        (Budget(Bound.P95, 0.15), Unit.SECONDS, "p95 ≤ 150 ms"),
        (Budget(Bound.OF_PEER, 0.15), Unit.SECONDS, "≤ 0.15 x peer"),
        (Budget(Bound.OF_LIMIT, 1.2), Unit.SECONDS, "≤ 1.2 x limit"),
        (Budget(Bound.OVER_LIMIT, 60), Unit.MEBIBYTES, "≤ limit + 60 MiB"),
    ],
)
def test_a_promise_says_what_it_bounds(budget: Budget, unit: Unit, expected: str) -> None:
    assert promise(budget, unit) == expected


@pytest.mark.parametrize(
    ("row", "ratio", "budget", "verdict"),
    [
        (MET, "0.10", "≤ 0.15 x peer", "yes"),
        (MISSED, "-", "≤ 50 ms", "**not met**"),
        (HALF, "0.40", "≤ 50 ms; ≤ 0.15 x peer", "yes; **not met**"),
        (UNKNOWN, "-", "≤ 50 ms", "not measured"),
        (PLAIN, "-", "-", "-"),
    ],
)
def test_a_row_says_whether_its_budgets_are_met(row: Row, ratio: str, budget: str, verdict: str) -> None:
    assert [cells(row)[column] for column in (4, 6, 7)] == [ratio, budget, verdict]


def test_a_note_stands_beside_what_was_measured() -> None:
    assert cells(UNKNOWN)[0] == "unknown (no API server)"


def test_each_group_has_its_title_and_every_line_the_same_cells() -> None:
    table = render("on a machine", {"first": [MET], "second": [MISSED, UNKNOWN]})
    lines = table.splitlines()
    assert lines[0] == "on a machine"
    body = [line for line in lines if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in body[2:]] == [
        *("**first**", "met", "**second**", "missed", "unknown (no API server)")
    ]
    assert {line.count("|") for line in body} == {9}


def test_the_summary_counts_budgets_and_names_what_is_missing() -> None:
    last = render("on a machine", {"group": [MET, MISSED, HALF, UNKNOWN, PLAIN]}).splitlines()[-1]
    assert last == "2 of 5 budgets are met. Not met: missed; half. Not measured: unknown."
