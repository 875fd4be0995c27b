"""Rows as one Markdown table, under the words that say where it was measured. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.rows import Bound, Budget, Figure, Row, Unit, is_met, ratio

_COLUMNS = ("what", "ours", "peer", "limit", "ours / peer", "ours / limit", "budget", "met")
_ALIGNMENT = ("---", "---:", "---:", "---:", "---:", "---:", "---", "---")
_NOTHING = "-"


def render(heading: str, groups: Mapping[str, Sequence[Row]]) -> str:
    """Return the table, each group under its title, below one line on where it was measured."""
    lines = [_line(_COLUMNS), _line(_ALIGNMENT)]
    for title, rows in groups.items():
        lines += [_line((f"**{title}**", *[""] * (len(_COLUMNS) - 1))), *map(_row, rows)]
    return "\n".join([heading, "", *lines, "", _summary([row for rows in groups.values() for row in rows]), ""])


def figure(side: Figure | None, unit: Unit) -> str:
    """Show one side: the median, and the worst where there were several."""
    if side is None:
        return _NOTHING
    worst = f" (worst {quantity(side.worst, unit)})" if side.worst is not None else ""
    return quantity(side.median, unit) + worst


def quantity(value: float, unit: Unit) -> str:
    """Show a value with three digits, in the size of its unit that reads best."""
    if unit is Unit.SECONDS:
        return _seconds(value)
    if unit is Unit.MEBIBYTES:
        return f"{value:.0f} MiB" if value >= 100 else f"{value:.3g} MiB"
    return f"{value:g}"


def promise(budget: Budget, unit: Unit) -> str:
    """Show what was promised."""
    if budget.bound is Bound.OF_PEER:
        return f"≤ {budget.value:g} x peer"
    if budget.bound is Bound.OF_LIMIT:
        return f"≤ {budget.value:g} x limit"
    if budget.bound is Bound.OVER_LIMIT:
        return f"≤ limit + {quantity(budget.value, unit)}"
    return f"{'p95 ' if budget.bound is Bound.P95 else ''}≤ {quantity(budget.value, unit)}"


def _row(row: Row) -> str:
    promises = "; ".join(promise(budget, row.unit) for budget in row.budgets) or _NOTHING
    sides = [figure(side, row.unit) for side in (row.ours, row.peer, row.limit)]
    ratios = [_ratio(ratio(row.ours, other)) for other in (row.peer, row.limit)]
    what = f"{row.what} ({row.note})" if row.note else row.what
    return _line((what, *sides, *ratios, promises, _verdict(row)))


def _verdict(row: Row) -> str:
    """Say for each budget in turn whether it is met."""
    words = {True: "yes", False: "**not met**", None: "not measured"}
    verdicts = [words[is_met(row, budget)] for budget in row.budgets]
    if not verdicts:
        return _NOTHING if row.ours else words[None]
    return verdicts[0] if len(set(verdicts)) == 1 else "; ".join(verdicts)


def _summary(rows: Sequence[Row]) -> str:
    """Count the budgets, and name the rows that miss one."""
    verdicts = [(row, is_met(row, budget)) for row in rows for budget in row.budgets]
    met = sum(verdict is True for _, verdict in verdicts)
    missed = dict.fromkeys(row.what for row, verdict in verdicts if verdict is False)
    unknown = dict.fromkeys(row.what for row, verdict in verdicts if verdict is None)
    return f"{met} of {len(verdicts)} budgets are met.{_named('Not met', missed)}{_named('Not measured', unknown)}"


def _named(title: str, names: Iterable[str]) -> str:
    listed = "; ".join(names)
    return f" {title}: {listed}." if listed else ""


def _ratio(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:.2f}" if round(value, 3) >= 0.1 else f"{value:.2g}"


def _seconds(value: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if abs(value) * factor >= 1 or unit == "µs":
            shown = value * factor
            return f"{shown:.0f} {unit}" if abs(shown) >= 100 else f"{shown:.3g} {unit}"
    raise AssertionError("unreachable")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
