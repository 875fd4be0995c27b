"""Typed, read-only view of a SidecarEvaluation: its spec, its status and the results of its evaluator.

What decides and reports reads the resource through it. `spec` is what the CRD has admitted and is read field by field
where manifests are rendered from it; the status is read as tolerantly as any other object (see `kube_objects`).
"""

from typing import NamedTuple

from sidecar_operator.kube_objects import (
    Field,
    KubeObject,
    View,
    flag_at,
    integer_at,
    object_at,
    objects_at,
    text_at,
    time_at,
)

LARGEST_INTEGER = 2**63 - 1
"""The largest number that a field of a status holds."""


class TrainingRef(NamedTuple):
    """The training that a SidecarEvaluation follows, in the same namespace."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Metric(View):
    """One score of a checkpoint."""

    __slots__ = ()
    name = Field(text_at, "name")
    value = Field(text_at, "value")

    @property
    def dataset(self) -> str:
        """The dataset that was evaluated."""
        return text_at(self.raw, "dataset") or "default"

    @property
    def number(self) -> float | None:
        """The value as a number, which may be NaN or infinite; None where it is none."""
        try:
            return float(self.value)
        except ValueError:
            return None


class Result(View):
    """One checkpoint and what became of it."""

    __slots__ = ()
    checkpoint = Field(text_at, "checkpoint")
    step = Field(integer_at, "step")
    outcome = Field(text_at, "outcome")
    """Such as `evaluated` or `failed`."""
    reason = Field(text_at, "reason")
    message = Field(text_at, "message")
    score = Field(text_at, "score")
    """The primary metric, such as `accuracy=0.93`."""
    evaluated_at = Field(time_at, "evaluatedAt")
    modified_at = Field(time_at, "modifiedAt")
    """When the checkpoint was written."""

    @property
    def metrics(self) -> list[Metric]:
        """All scores."""
        return [Metric(metric) for metric in objects_at(self.raw, "metrics")]


class Results(View):
    """`status.results`, which the evaluator writes."""

    __slots__ = ()
    backlog = Field(integer_at, "backlog")
    """Number of finished checkpoints that wait for evaluation."""
    end_reason = Field(text_at, "ended", "reason")
    """Why the evaluator has ended; empty while it has not."""
    ended_at = Field(time_at, "ended", "at")
    evaluator_pod = Field(text_at, "evaluator", "pod")
    """The pod that the results come from; empty where none has said so."""
    problem_reason = Field(text_at, "problem", "reason")
    """What is in that evaluator's way; empty while nothing is."""
    problem_message = Field(text_at, "problem", "message")
    code_digest = Field(text_at, "evaluator", "codeDigest")
    """Digest of that evaluator's code; empty where it has none of a ConfigMap."""
    began_anew_message = Field(text_at, "beganAnew", "message")
    """Why earlier results were laid aside; empty where none were."""

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
    def last_settled(self) -> Result:
        """The checkpoint that was settled last, whatever became of it; empty where none was."""
        return next(iter(self.history), Result({}))

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
    def settled_count(self) -> int:
        """Number of checkpoints that need no further evaluation, whatever became of them."""
        return min(sum(self.counts.values()), LARGEST_INTEGER)


class RecordedTraining(View):
    """`status.training`, which an earlier pass has written."""

    __slots__ = ()
    state = Field(text_at, "state")
    """See `training_state.State`; empty where none is recorded."""
    uid = Field(text_at, "uid")
    """The object that the state is about; empty while none has been seen."""
    followed_since = Field(text_at, "followedSince")
    """When the object with this uid was first seen, as it is stored."""
    created_at = Field(text_at, "createdAt")
    """When the object with this uid was created, as it is stored."""
    message = Field(text_at, "message")
    finished_at = Field(text_at, "finishedAt")
    """When the training ended, as it is stored; empty while it has not."""


class RecordedRun(View):
    """`status.run`, which an earlier pass has written."""

    __slots__ = ()
    restarted_at = Field(text_at, "restartedAt")
    pod_template = Field(text_at, "podTemplate")
    attempt = Field(integer_at, "attempt")
    fruitless_attempts = Field(integer_at, "fruitlessAttempts")
    failures = Field(integer_at, "failures")
    settled = Field(integer_at, "settled")
    starts_at = Field(time_at, "startsAt")
    rolled_over = Field(flag_at, "rolledOver")


class SidecarEvaluation(KubeObject):
    """The resource."""

    __slots__ = ()
    spec = Field(object_at, "spec")
    """As admitted by the CRD."""
    status = Field(object_at, "status")
    is_suspended = Field(flag_at, "spec", "suspend")
    job_name = Field(text_at, "status", "job")
    """Name of the Job that the last pass has seen; empty where it has seen none."""
    observed_generation = Field(integer_at, "status", "observedGeneration")
    """The generation of the spec that the status speaks of."""

    checkpoints_path = Field(text_at, "spec", "checkpoints", "path")
    evaluator = Field(object_at, "status", "evaluator")
    """The evaluator's pod, as an earlier pass has recorded it."""
    image_id = Field(text_at, "status", "evaluator", "imageID")

    @property
    def ready_when(self) -> str:
        """`spec.readyWhen`: what makes the resource Ready."""
        return text_at(self.raw, "spec", "readyWhen") or "EvaluatorRunning"

    @property
    def starts_immediately(self) -> bool:
        """Whether `spec.startWhen` asks to start the evaluator before the training."""
        return text_at(self.raw, "spec", "startWhen") == "Immediately"

    @property
    def training_ref(self) -> TrainingRef | None:
        """What `spec.trainingRef` names, None where it is not set."""
        ref = object_at(self.raw, "spec", "trainingRef")
        if not ref:
            return None
        return TrainingRef(text_at(ref, "apiVersion"), text_at(ref, "kind"), self.namespace, text_at(ref, "name"))

    @property
    def training(self) -> RecordedTraining:
        """`status.training`."""
        return RecordedTraining(object_at(self.raw, "status", "training"))

    @property
    def run(self) -> RecordedRun:
        """`status.run`."""
        return RecordedRun(object_at(self.raw, "status", "run"))

    @property
    def results(self) -> Results:
        """`status.results`."""
        return Results(object_at(self.raw, "status", "results"))
