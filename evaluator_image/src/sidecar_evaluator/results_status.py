"""`Results` as the resource's `status.results`, and back. Pure.

The status writer renders, `run` parses at start. Every string and list keeps to the bounds of the
resource's schema; numbers that JSON or the API server would bend are strings. What cannot be parsed
is left out, so that a field added by a later version does not stop the evaluator.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sidecar_evaluator.best import Primary, primary_score
from sidecar_evaluator.ledger import Counts, Ended, EndReason, Results
from sidecar_evaluator.outcome import DEFAULT_DATASET, Outcome, OutcomeKind, Reason, Score, label

Json = dict[str, Any]

MESSAGE_LENGTH = 1024
NAME_LENGTH = 253
METRIC_NAME_LENGTH = 128
METRICS = 64
_SCORE_LENGTH = 256


def render(results: Results, primary: Primary | None = None) -> Json:
    """Return what belongs into `status.results`."""
    rendered: Json = {
        "latest": _render_outcome(results.latest, primary) if results.latest else None,
        "best": _render_outcome(results.best, primary) if results.best else None,
        "history": [_render_outcome(outcome, primary) for outcome in results.history],
        "counts": asdict(results.counts),
        "backlog": results.backlog,
        "watermark": results.watermark,
        "ended": _render_ended(results.ended),
    }
    return _without_none(rendered)


def parse(status: Mapping[str, Any]) -> Results:
    """Return the results that an earlier process left in `status.results`."""
    counts = status.get("counts") or {}
    return Results(
        latest=_parse_outcome(status.get("latest")),
        best=_parse_outcome(status.get("best")),
        history=tuple(outcome for entry in status.get("history") or () if (outcome := _parse_outcome(entry))),
        counts=Counts(**{name: int(counts.get(name, 0)) for name in asdict(Counts())}),
        backlog=int(status.get("backlog", 0)),
        watermark=status.get("watermark"),
        ended=_parse_ended(status.get("ended")),
    )


def render_value(value: float) -> str:
    """Return a metric's value as text that reads back to the same float."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _render_outcome(outcome: Outcome, primary: Primary | None) -> Json:
    score = primary_score(outcome, primary)
    return _without_none(
        {
            "checkpoint": outcome.checkpoint[:NAME_LENGTH],
            "step": outcome.step,
            "number": outcome.number,
            "outcome": outcome.kind.value,
            "reason": outcome.reason.value if outcome.reason else None,
            "message": outcome.message[:MESSAGE_LENGTH] or None,
            "score": _readable(score)[:_SCORE_LENGTH] if score else None,
            "metrics": _render_scores(outcome.scores) or None,
            "startedAt": _render_time(outcome.started_at),
            "evaluatedAt": _render_time(outcome.evaluated_at),
            "durationSeconds": f"{outcome.duration:.3f}",
        }
    )


def _render_scores(scores: tuple[Score, ...]) -> list[Json]:
    named = {(score.name[:METRIC_NAME_LENGTH], score.dataset[:METRIC_NAME_LENGTH]): score.value for score in scores}
    entries = [
        {"name": name, "dataset": dataset, "value": render_value(value)} for (name, dataset), value in named.items()
    ]
    return entries[:METRICS]


def _readable(score: Score) -> str:
    value = score.value
    if not math.isfinite(value):
        return f"{label(score)}={render_value(value)}"
    return f"{label(score)}={value:.4f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{label(score)}={value:.4g}"


def _render_ended(ended: Ended | None) -> Json | None:
    return {"reason": ended.reason.value, "at": _render_time(ended.at)} if ended else None


def _render_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse_outcome(entry: Mapping[str, Any] | None) -> Outcome | None:
    if not entry or entry.get("outcome") not in list(OutcomeKind):
        return None
    reason = entry.get("reason")
    return Outcome(
        checkpoint=str(entry["checkpoint"]),
        kind=OutcomeKind(entry["outcome"]),
        number=entry.get("number"),
        started_at=_parse_time(entry.get("startedAt")),
        evaluated_at=_parse_time(entry.get("evaluatedAt")),
        duration=float(entry.get("durationSeconds", 0)),
        step=entry.get("step"),
        scores=tuple(_parse_score(metric) for metric in entry.get("metrics") or ()),
        reason=Reason(reason) if reason in list(Reason) else None,
        message=str(entry.get("message", "")),
    )


def _parse_score(metric: Mapping[str, Any]) -> Score:
    return Score(str(metric["name"]), float(metric["value"]), str(metric.get("dataset", DEFAULT_DATASET)))


def _parse_ended(ended: Mapping[str, Any] | None) -> Ended | None:
    if not ended or ended.get("reason") not in list(EndReason):
        return None
    return Ended(EndReason(ended["reason"]), _parse_time(ended.get("at")))


def _parse_time(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _without_none(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}
