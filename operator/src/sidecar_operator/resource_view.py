"""Typed, read-only view of a SidecarEvaluation: its spec, its status and the results of its evaluator.

What decides and reports reads the resource through it. `spec` is what the CRD has admitted and is read field by field
where manifests are rendered from it; the status is read as tolerantly as an object of others (see `kube_objects`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sidecar_operator.kube_objects import (
    JsonObject,
    KubeObject,
    integer_at,
    object_at,
    objects_at,
    parse_time,
    text_at,
    value_at,
)


class TrainingRef(NamedTuple):
    """The training that a SidecarEvaluation follows, in the same namespace."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Metric(NamedTuple):
    """One score of a checkpoint."""

    name: str
    dataset: str
    value: str

    @property
    def number(self) -> float | None:
        """The value as a number, which may be NaN or infinite; None where it is none."""
        try:
            return float(self.value)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Result:
    """One checkpoint and what became of it."""

    raw: JsonObject

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint."""
        return text_at(self.raw, "checkpoint")

    @property
    def step(self) -> int | None:
        """Training step of the checkpoint."""
        return integer_at(self.raw, "step")

    @property
    def outcome(self) -> str:
        """What became of it, such as `evaluated` or `failed`."""
        return text_at(self.raw, "outcome")

    @property
    def reason(self) -> str:
        """Why it failed, one word."""
        return text_at(self.raw, "reason")

    @property
    def message(self) -> str:
        """Why it failed, for people."""
        return text_at(self.raw, "message")

    @property
    def score(self) -> str:
        """The primary metric, such as `accuracy=0.93`."""
        return text_at(self.raw, "score")

    @property
    def metrics(self) -> list[Metric]:
        """All scores."""
        return [
            Metric(text_at(metric, "name"), text_at(metric, "dataset") or "default", text_at(metric, "value"))
            for metric in objects_at(self.raw, "metrics")
        ]

    @property
    def evaluated_at(self) -> datetime | None:
        """When its evaluation ended."""
        return parse_time(text_at(self.raw, "evaluatedAt"))


@dataclass(frozen=True, slots=True)
class Results:
    """`status.results`, which the evaluator writes."""

    raw: JsonObject

    @property
    def latest(self) -> Result:
        """The checkpoint that was evaluated last; empty where none was."""
        return Result(object_at(self.raw, "latest"))

    @property
    def best(self) -> Result:
        """The checkpoint with the best score; empty where none was evaluated."""
        return Result(object_at(self.raw, "best"))

    @property
    def history(self) -> list[Result]:
        """Settled checkpoints, newest first."""
        return [Result(entry) for entry in objects_at(self.raw, "history")]

    @property
    def counts(self) -> dict[str, int]:
        """Number of checkpoints by outcome."""
        counts = object_at(self.raw, "counts")
        return {outcome: count for outcome in counts if (count := integer_at(counts, outcome)) is not None}

    @property
    def evaluated_count(self) -> int:
        """Number of checkpoints that have a score."""
        return self.counts.get("evaluated", 0)

    @property
    def backlog(self) -> int | None:
        """Number of finished checkpoints that wait for evaluation."""
        return integer_at(self.raw, "backlog")

    @property
    def end_reason(self) -> str:
        """Why the evaluator has ended; empty while it has not."""
        return text_at(self.raw, "ended", "reason")

    @property
    def ended_at(self) -> datetime | None:
        """When the evaluator had nothing left to evaluate."""
        return parse_time(text_at(self.raw, "ended", "at"))


@dataclass(frozen=True, slots=True)
class RecordedTraining:
    """`status.training`, which an earlier pass has written."""

    raw: JsonObject

    @property
    def state(self) -> str:
        """The state, see `training_state.State`; empty where none is recorded."""
        return text_at(self.raw, "state")

    @property
    def message(self) -> str:
        """The message for people."""
        return text_at(self.raw, "message")

    @property
    def finished_at(self) -> str | None:
        """When the training ended, as it is stored."""
        return text_at(self.raw, "finishedAt") or None


@dataclass(frozen=True, slots=True)
class SidecarEvaluation(KubeObject):
    """The resource."""

    @property
    def spec(self) -> JsonObject:
        """The spec, as admitted by the CRD."""
        return object_at(self.raw, "spec")

    @property
    def is_suspended(self) -> bool:
        """Whether `spec.suspend` is set."""
        return value_at(self.raw, "spec", "suspend") is True

    @property
    def ready_when(self) -> str:
        """`spec.readyWhen`: what makes the resource Ready."""
        return text_at(self.raw, "spec", "readyWhen") or "EvaluatorRunning"

    @property
    def training_ref(self) -> TrainingRef | None:
        """What `spec.trainingRef` names, None where it is not set."""
        ref = object_at(self.raw, "spec", "trainingRef")
        if not ref:
            return None
        return TrainingRef(text_at(ref, "apiVersion"), text_at(ref, "kind"), self.namespace, text_at(ref, "name"))

    @property
    def status(self) -> JsonObject:
        """The whole status."""
        return object_at(self.raw, "status")

    @property
    def job_name(self) -> str:
        """`status.job`: name of the Job that the last pass has seen; empty where it has seen none."""
        return text_at(self.raw, "status", "job")

    @property
    def training(self) -> RecordedTraining:
        """`status.training`."""
        return RecordedTraining(object_at(self.raw, "status", "training"))

    @property
    def results(self) -> Results:
        """`status.results`."""
        return Results(object_at(self.raw, "status", "results"))
