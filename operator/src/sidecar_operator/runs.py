"""A run of the evaluator: which Job should exist now, and what is remembered of the Jobs before it.

`manifests` renders the Job of a run, `restarts` decides on the next one, `status` records it. Pure. The identity of a
Job is the generation it was made for, the request to run again, and the number of the attempt: another version of the
operator, which would render other bytes, keeps it.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sidecar_operator import names
from sidecar_operator.kube_objects import Job, JsonObject, format_time, parse_time
from sidecar_operator.resource_view import SidecarEvaluation

CLOCK_DIFFERENCE = timedelta(minutes=5)
"""How far the clock of whoever asks for another run may be ahead of the operator's."""


@dataclass(frozen=True)
class Run:
    """One attempt to evaluate what a spec asks for."""

    generation: int
    restarted_at: str = ""
    """The request to run again that this run answers; empty for the first run."""
    pod_template: str = ""
    """Digest of the pod template that was rendered for it."""
    attempt: int = 0
    """How many Jobs for this spec and request have failed before."""
    fruitless_attempts: int = 0
    """How many of the last ones settled no checkpoint."""
    failures: int = 0
    """Failures of the evaluator itself in those."""
    settled: int = 0
    """Number of settled checkpoints when it began."""
    starts_at: datetime | None = None
    """When its Job may be created, None for at once."""
    rolled_over: bool = False
    """Whether it replaces a Job that worked with another version's default image."""
    rendered_template: str = field(default="", compare=False)
    """Digest of what this version of the operator renders; that of an existing Job may be another."""

    def to_json(self) -> JsonObject:
        """Return it as `status.run` holds it."""
        return {
            **({"restartedAt": self.restarted_at} if self.restarted_at else {}),
            "podTemplate": self.pod_template,
            "attempt": self.attempt,
            "fruitlessAttempts": self.fruitless_attempts,
            "failures": self.failures,
            "settled": self.settled,
            **({"startsAt": format_time(self.starts_at)} if self.starts_at else {}),
            **({"rolledOver": True} if self.rolled_over else {}),
        }

    def followed(self, starts_at: datetime, **changes: Any) -> "Run":
        """Return the next attempt, whose Job is made from what is rendered now."""
        template = self.rendered_template or self.pod_template
        following = replace(self, attempt=self.attempt + 1, pod_template=template, starts_at=starts_at)
        return replace(following, **{"rolled_over": False, **changes})

    def waits(self, now: datetime) -> bool:
        """Tell whether its Job may not be created yet."""
        return self.starts_at is not None and self.starts_at > now


@dataclass(frozen=True)
class Request:
    """The last request to run again that is to be answered."""

    restarted_at: str
    """When it was made; empty where there was none."""
    problem: str = ""
    """What is wrong with a later one."""


def requested(evaluation: SidecarEvaluation, now: datetime) -> Request:
    """Return what the annotation asks for, if it is a time that has come, and else what was answered last."""
    answered = evaluation.run.restarted_at
    text = evaluation.annotation(names.RESTARTED_AT_ANNOTATION)
    if not text:
        return Request(answered)
    moment = parse_time(text)
    if moment is None:
        return Request(answered, f"is {text[:64]!r}, which is no time with an offset (RFC 3339)")
    if moment > now + CLOCK_DIFFERENCE:
        return Request(answered, f"is {text[:64]}, which lies in the future")
    last = parse_time(answered)
    return Request(answered if last and moment <= last else format_time(moment))


def current(evaluation: SidecarEvaluation, restarted_at: str, pod_template: str) -> Run:
    """Return the run that the resource asks for: the recorded one, or a new one."""
    recorded = evaluation.run
    if not continues(evaluation, restarted_at, pod_template):
        settled = evaluation.results.settled_count
        return Run(evaluation.generation, restarted_at, pod_template, settled=settled, rendered_template=pod_template)
    settled_before = recorded.settled
    return Run(
        evaluation.generation,
        restarted_at,
        recorded.pod_template or pod_template,
        recorded.attempt or 0,
        recorded.fruitless_attempts or 0,
        recorded.failures or 0,
        evaluation.results.settled_count if settled_before is None else settled_before,
        recorded.starts_at,
        recorded.rolled_over,
        rendered_template=pod_template,
    )


def continues(evaluation: SidecarEvaluation, restarted_at: str, pod_template: str) -> bool:
    """Tell whether the recorded run is still asked for.

    A change of the spec that gives the same pod template changes nothing; nor does another template for the same
    generation, which comes from another version of the operator.
    """
    recorded = evaluation.run
    is_same_spec = evaluation.observed_generation == evaluation.generation or recorded.pod_template == pod_template
    return recorded.restarted_at == restarted_at and is_same_spec


def is_made_for(job: Job, run: Run, evaluation: SidecarEvaluation) -> bool:
    """Tell whether a Job is the one of this run."""
    if job.annotation(names.RESTARTED_AT_ANNOTATION) != run.restarted_at:
        return False
    generation = job.made_for_generation
    if generation is None:  # made by a version that named Jobs after their template alone
        is_same_spec = evaluation.observed_generation == run.generation
        return job.attempt == run.attempt and job.name == evaluation.job_name and is_same_spec
    is_same_template = job.annotation(names.POD_TEMPLATE_ANNOTATION) == run.pod_template
    if job.attempt == run.attempt:
        return generation == run.generation or is_same_template
    is_of_earlier_spec = generation < run.generation and run.attempt == 0
    return is_of_earlier_spec and is_same_template and not job.has_ended  # a change that was refused is taken back


def annotations(run: Run, default_image: str | None) -> dict[str, str]:
    """Return the annotations of the run's Job; `default_image` only where the spec names no image."""
    return {
        names.GENERATION_ANNOTATION: str(run.generation),
        names.ATTEMPT_ANNOTATION: str(run.attempt),
        names.POD_TEMPLATE_ANNOTATION: run.rendered_template or run.pod_template,
        **({names.RESTARTED_AT_ANNOTATION: run.restarted_at} if run.restarted_at else {}),
        **({names.DEFAULT_IMAGE_ANNOTATION: default_image} if default_image else {}),
    }
