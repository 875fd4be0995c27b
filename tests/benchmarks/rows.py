"""What a measurement is: a row of the table with its budgets. Pure.

The groups make rows, `table` shows them. They cross from process to process as plain JSON values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Any


class Unit(StrEnum):
    """What a figure counts."""

    SECONDS = "s"
    MEBIBYTES = "MiB"
    REQUESTS = "requests"


class Bound(StrEnum):
    """What a budget limits, in the words of the table."""

    AT_MOST = "at most"
    P95 = "95 % within"
    OF_PEER = "of the peer"
    OF_LIMIT = "of the limit"
    OVER_LIMIT = "over the limit"


@dataclass(frozen=True)
class Figure:
    """One side's measurement: the median, and where it was taken more than once the worst and the 95th percentile."""

    median: float
    worst: float | None = None
    p95: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """Sum up what was measured."""
        if len(values) == 1:
            return cls(values[0])
        return cls(median(values), max(values), percentile(values, 95))


@dataclass(frozen=True)
class Budget:
    """One promise about a row."""

    bound: Bound
    value: float


@dataclass(frozen=True)
class Row:
    """One measurement of ours beside its peer and its limit; without `ours` the `note` says why there is none."""

    what: str
    unit: Unit
    ours: Figure | None = None
    peer: Figure | None = None
    limit: Figure | None = None
    budgets: tuple[Budget, ...] = ()
    note: str = ""

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> "Row":
        """Make a row of what `dataclasses.asdict` and JSON made of one."""
        figures = {side: Figure(**value[side]) for side in ("ours", "peer", "limit") if value[side]}
        budgets = tuple(Budget(Bound(budget["bound"]), budget["value"]) for budget in value["budgets"])
        return cls(value["what"], Unit(value["unit"]), **figures, budgets=budgets, note=value["note"])


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def ratio(side: Figure | None, other: Figure | None) -> float | None:
    """Divide two medians, where both were measured."""
    return side.median / other.median if side and other and other.median else None


def is_met(row: Row, budget: Budget) -> bool | None:
    """Tell whether the row keeps to the budget; None where the figures for it are missing."""
    value = _bounded(row, budget.bound)
    return None if value is None else value <= budget.value


def _bounded(row: Row, bound: Bound) -> float | None:
    if row.ours is None:
        return None
    if bound is Bound.OF_PEER:
        return ratio(row.ours, row.peer)
    if bound is Bound.OF_LIMIT:
        return ratio(row.ours, row.limit)
    if bound is Bound.OVER_LIMIT:
        return row.ours.median - row.limit.median if row.limit else None
    return row.ours.p95 if bound is Bound.P95 else row.ours.median
