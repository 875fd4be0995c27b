"""Which of two scored checkpoints is better: pure comparison by the primary metric.

The ledger asks after every evaluation. NaN and infinities are never best.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar_evaluator.results.outcome import Outcome, Score, label


class Goal(StrEnum):
    """Which way the primary metric should go."""

    MAXIMIZE = "Maximize"
    MINIMIZE = "Minimize"


@dataclass(frozen=True)
class Primary:
    """The metric that decides: `name`, or `dataset/name` where several datasets are scored."""

    name: str
    goal: Goal


def better(candidate: Outcome, best: Outcome | None, primary: Primary | None) -> bool:
    """Tell whether the candidate replaces the best so far; the earlier one wins a tie."""
    if primary is None:
        return False
    score = primary_score(candidate, primary)
    if score is None or not math.isfinite(score.value):
        return False
    best_score = primary_score(best, primary) if best else None
    if best_score is None or not math.isfinite(best_score.value):
        return True
    return score.value > best_score.value if primary.goal is Goal.MAXIMIZE else score.value < best_score.value


def primary_score(outcome: Outcome, primary: Primary | None) -> Score | None:
    """Return the deciding score, the first one where no primary metric is named."""
    if primary is None:
        return outcome.scores[0] if outcome.scores else None
    return _named(primary.name, outcome.scores)


def no_such_metric(name: str, scores: Sequence[Score]) -> str:
    """Say that none of the scores is the primary metric, and how the metrics are named; "" where one is."""
    if not scores or _named(name, scores):
        return ""
    names = ", ".join(map(label, scores))
    return f"The model has no metric {name}; name one of: {names} in spec.metrics.primary (--primary-metric)."


def _named(name: str, scores: Iterable[Score]) -> Score | None:
    return next((score for score in scores if name in (score.name, label(score))), None)
