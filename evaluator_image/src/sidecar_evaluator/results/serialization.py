"""`Results` as the resource's `status.results`, and back. Pure.

The status writer renders, `run` parses at start. Every string and list keeps to the bounds of the
resource's schema; numbers that do not round-trip through JSON or the API server are strings. What
cannot be parsed is left out, so that a field added by a later version does not stop the evaluator. The
journal and the manifests of copies use the same format, without the bounds.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sidecar_evaluator.checkpoints.identity import CheckpointId, checkpoint_id
from sidecar_evaluator.results.evaluator_report import BeganAnew, BeginningReason, EvaluatorReport, Problem
from sidecar_evaluator.results.ledger import Counts, Ended, EndReason, Results
from sidecar_evaluator.results.outcome import DEFAULT_DATASET, Outcome, OutcomeKind, Provenance, Reason, Score, label
from sidecar_evaluator.results.ranking import Primary, primary_score
from sidecar_evaluator.results.status_bounds import MESSAGE_LENGTH, NAME_LENGTH, POD_LENGTH, bounded, newest, plain

Json = dict[str, Any]


def render(results: Results, primary: Primary | None = None) -> Json:
    """Return what belongs into `status.results`."""
    rendered: Json = {
        "latest": bounded(render_outcome(results.latest, primary)) if results.latest else None,
        "best": bounded(render_outcome(results.best, primary)) if results.best else None,
        "history": newest([bounded(render_outcome(outcome, primary)) for outcome in results.history]),
        "counts": asdict(results.counts),
        "backlog": results.backlog,
        "watermark": results.watermark,
        "watermarkNumbers": results.watermark_numbers,
        "writtenUntil": None if results.written_until is None else render_time(results.written_until),
        "startedAgain": _render_started_again(results.started_again),
        "ended": _render_ended(results.ended),
        "evaluator": _render_evaluator(results.evaluator),
        "problem": _render_problem(results.problem),
        "beganAnew": _render_began_anew(results.began_anew),
    }
    return _without_none(rendered)


def parse(status: Mapping[str, Any]) -> Results:
    """Return the results that an earlier process left in `status.results`."""
    counts = status.get("counts") or {}
    return Results(
        latest=parse_outcome(status.get("latest")),
        best=parse_outcome(status.get("best")),
        history=tuple(outcome for entry in status.get("history") or () if (outcome := parse_outcome(entry))),
        counts=Counts(**{name: int(counts.get(name, 0)) for name in asdict(Counts())}),
        backlog=int(status.get("backlog", 0)),
        watermark=status.get("watermark"),
        watermark_numbers=status.get("watermarkNumbers"),
        written_until=parse_time(status.get("writtenUntil")) or None,
        started_again=_parse_started_again(status.get("startedAgain")),
        ended=_parse_ended(status.get("ended")),
        evaluator=_parse_evaluator(status.get("evaluator")),
        began_anew=_parse_began_anew(status.get("beganAnew")),
    )


def render_value(value: float) -> str:
    """Return a metric's value as text that reads back to the same float."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))  # NumPy's own floats have another repr


def render_time(seconds: float) -> str:
    """Return a time as text, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def render_outcome(outcome: Outcome, primary: Primary | None = None) -> Json:
    """Return one checkpoint's outcome, nothing cut off."""
    score = primary_score(outcome, primary)
    return _without_none(
        {
            "checkpoint": outcome.checkpoint,
            "step": outcome.step,
            "number": outcome.number,
            "outcome": outcome.kind.value,
            "reason": outcome.reason.value if outcome.reason else None,
            "message": outcome.message or None,
            "score": _readable(score) if score else None,
            "metrics": [render_score(score) for score in outcome.scores] or None,
            "modifiedAt": render_time(outcome.modified_at) if outcome.modified_at else None,
            "writtenAgain": outcome.is_written_again or None,
            "startedAt": render_time(outcome.started_at),
            "evaluatedAt": render_time(outcome.evaluated_at),
            "durationSeconds": f"{outcome.duration:.3f}",
            "codeDigest": outcome.provenance.code_digest or None,
            "imageID": outcome.provenance.image_id or None,
        }
    )


def render_score(score: Score) -> Json:
    """Return one metric's value."""
    return {"name": score.name, "dataset": score.dataset, "value": render_value(score.value)}


def _readable(score: Score) -> str:
    value = score.value
    if not math.isfinite(value):
        return f"{label(score)}={render_value(value)}"
    return f"{label(score)}={value:.4f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{label(score)}={value:.4g}"


def _render_ended(ended: Ended | None) -> Json | None:
    return {"reason": ended.reason.value, "at": render_time(ended.at)} if ended else None


def parse_outcome(entry: Mapping[str, Any] | None) -> Outcome | None:
    """Return one checkpoint's outcome; None where it is of a kind that this version does not know."""
    if not entry or entry.get("outcome") not in list(OutcomeKind):
        return None
    reason = entry.get("reason")
    return Outcome(
        checkpoint=str(entry["checkpoint"]),
        kind=OutcomeKind(entry["outcome"]),
        number=entry.get("number"),
        started_at=parse_time(entry.get("startedAt")),
        evaluated_at=parse_time(entry.get("evaluatedAt")),
        duration=float(entry.get("durationSeconds", 0)),
        step=entry.get("step"),
        scores=tuple(_parse_score(metric) for metric in entry.get("metrics") or ()),
        reason=Reason(reason) if reason in list(Reason) else None,
        message=str(entry.get("message", "")),
        modified_at=parse_time(entry.get("modifiedAt")),
        is_written_again=entry.get("writtenAgain") is True,
        provenance=Provenance(str(entry.get("codeDigest", "")), str(entry.get("imageID", ""))),
    )


def _render_started_again(identity: CheckpointId | None) -> Json | None:
    if identity is None:
        return None
    written_at = render_time(identity.written_us / 1e6)
    return {"checkpoint": identity.name[:NAME_LENGTH], "number": identity.number, "modifiedAt": written_at}


def _parse_started_again(entry: Mapping[str, Any] | None) -> CheckpointId | None:
    if not entry:
        return None
    return checkpoint_id(str(entry["checkpoint"]), entry.get("number"), parse_time(entry.get("modifiedAt")))


def _render_evaluator(report: EvaluatorReport | None) -> Json | None:
    if report is None:
        return None
    is_bounded = plain(report.directory, NAME_LENGTH) == report.directory
    return _without_none(
        {
            "pod": plain(report.pod, POD_LENGTH),
            "startedAt": render_time(report.started_at),
            "codeDigest": report.code_digest or None,
            "directory": report.directory if report.directory and is_bounded else None,
        }
    )


def _parse_evaluator(entry: Mapping[str, Any] | None) -> EvaluatorReport | None:
    if not entry:
        return None
    return EvaluatorReport(
        pod=str(entry.get("pod", "")),
        started_at=parse_time(entry.get("startedAt")),
        code_digest=str(entry.get("codeDigest", "")),
        directory=str(entry.get("directory", "")),
    )


def _render_began_anew(began: BeganAnew | None) -> Json | None:
    if began is None:
        return None
    return {"reason": began.reason.value, "message": plain(began.message, MESSAGE_LENGTH), "at": render_time(began.at)}


def _parse_began_anew(entry: Mapping[str, Any] | None) -> BeganAnew | None:
    if not entry or entry.get("reason") not in list(BeginningReason):
        return None
    return BeganAnew(BeginningReason(entry["reason"]), str(entry.get("message", "")), parse_time(entry.get("at")))


def _render_problem(problem: Problem | None) -> Json | None:
    if problem is None:
        return None
    return {"reason": problem.reason.value, "message": problem.message[:MESSAGE_LENGTH], "at": render_time(problem.at)}


def _parse_score(metric: Mapping[str, Any]) -> Score:
    return Score(str(metric["name"]), float(metric["value"]), str(metric.get("dataset", DEFAULT_DATASET)))


def _parse_ended(ended: Mapping[str, Any] | None) -> Ended | None:
    if not ended or ended.get("reason") not in list(EndReason):
        return None
    return Ended(EndReason(ended["reason"]), parse_time(ended.get("at")))


def parse_time(text: str | None) -> float:
    """Return a time in seconds since the epoch, 0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _without_none(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}
