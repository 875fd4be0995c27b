"""Kubernetes Events of a resource: what `kubectl describe` shows of its transitions.

`reconcile` calls it with the conditions before and after a pass and publishes the result once the status is written.
Pure. An Event is a transition, never a state: the same conditions give none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sidecar_operator.conditions import Reason, Type
from sidecar_operator.kube_objects import Object

Level = Literal["Normal", "Warning"]

QUIET = frozenset({Reason.EVALUATOR_STARTING, Reason.WAITING_FOR_FIRST_EVALUATION, Reason.CONFIGURATION_ERROR})
"""Reasons of Ready that every run goes through, and one whose end follows at once with an Event of its own."""

EXPECTED = frozenset({Reason.REPLACING_JOB, Reason.SUSPENDED})
"""Reasons of Ready=False that the user has brought about."""


@dataclass(frozen=True)
class Transition:
    """Something that has just changed, in words for the resource's user."""

    level: Level
    reason: str
    message: str


def transitions(before: list[Object], after: list[Object]) -> list[Transition]:
    """Return what has changed between two lists of conditions."""
    changed = [condition for condition in after if _state(condition) != _state(_find(before, condition["type"]))]
    ended = any(condition["type"] == Type.FINISHED and condition["status"] == "True" for condition in changed)
    return list(_ending(after) if ended else _readiness(changed)) + list(_training(changed))


def _find(conditions: list[Object], condition_type: str) -> Object | None:
    return next((found for found in conditions if found["type"] == condition_type), None)


def _state(condition: Object | None) -> tuple[str, str] | None:
    return (condition["status"], condition["reason"]) if condition else None


def _ending(after: list[Object]) -> Iterator[Transition]:
    succeeded = _find(after, Type.SUCCEEDED)
    if succeeded:
        level: Level = "Normal" if succeeded["status"] == "True" else "Warning"
        yield Transition(level, succeeded["reason"], succeeded["message"])


def _readiness(changed: list[Object]) -> Iterator[Transition]:
    ready = _find(changed, Type.READY)
    if ready is None or ready["reason"] in QUIET:
        return
    is_expected = ready["status"] == "True" or ready["reason"] in EXPECTED
    yield Transition("Normal" if is_expected else "Warning", ready["reason"], ready["message"])


def _training(changed: list[Object]) -> Iterator[Transition]:
    finished = _find(changed, Type.TRAINING_FINISHED)
    if finished and finished["status"] != "False":
        level: Level = "Normal" if finished["status"] == "True" else "Warning"
        yield Transition(level, finished["reason"], finished["message"])
