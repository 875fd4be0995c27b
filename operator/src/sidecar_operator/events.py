"""Kubernetes Events of a resource: what `kubectl describe` shows of its transitions.

`reconcile` calls it with the conditions before and after a pass and publishes the result once the status is stored;
`kube_client` has it render the Event. Pure. An Event reports a transition, not a state: unchanged conditions give none.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sidecar_operator import names
from sidecar_operator.conditions import Reason, Type
from sidecar_operator.kube_objects import JsonObject, KubeObject, StoredCondition, text_at

Level = Literal["Normal", "Warning"]

QUIET = frozenset({Reason.EVALUATOR_STARTING, Reason.WAITING_FOR_FIRST_EVALUATION, Reason.CONFIGURATION_ERROR})
"""Reasons of Ready that give no Event: every run passes them, or the end that follows at once has an Event."""

EXPECTED = frozenset(
    {Reason.REPLACING_JOB, Reason.SUSPENDED, Reason.WAITING_FOR_TRAINING, Reason.TRAINING_ENDED_BEFORE}
)
"""Reasons of Ready=False that the user has caused on purpose."""


@dataclass(frozen=True)
class Transition:
    """A change of a condition, as the user of the resource reads it."""

    level: Level
    reason: str
    message: str


def transitions(before: list[StoredCondition], after: list[StoredCondition]) -> list[Transition]:
    """Return what has changed between two lists of conditions."""
    changed = [condition for condition in after if _state(condition) != _state(_find(before, condition.type))]
    finished = _find(changed, Type.FINISHED)
    ready = _ending(after) if finished and finished.is_true else _readiness(changed)
    refused = _find(changed, Type.RESTART_REFUSED)
    restart = [_transition(refused, is_expected=False)] if refused else []
    return [*ready, *_errors(changed), *_training(changed), *_consistency(before, after), *restart]


def _find(conditions: list[StoredCondition], condition_type: str) -> StoredCondition | None:
    return next((condition for condition in conditions if condition.type == condition_type), None)


def _state(condition: StoredCondition | None) -> tuple[str, str] | None:
    return (condition.status, condition.reason) if condition else None


def _ending(after: list[StoredCondition]) -> Iterator[Transition]:
    succeeded = _find(after, Type.SUCCEEDED)
    if succeeded:
        yield _transition(succeeded, is_expected=succeeded.is_true)


def _readiness(changed: list[StoredCondition]) -> Iterator[Transition]:
    ready = _find(changed, Type.READY)
    if ready and ready.reason not in QUIET:
        yield _transition(ready, is_expected=ready.is_true or ready.reason in EXPECTED)


def _errors(changed: list[StoredCondition]) -> Iterator[Transition]:
    """Yield an error that leaves the evaluator ready, so that Ready does not tell it."""
    reconciling, ready = _find(changed, Type.RECONCILING), _find(changed, Type.READY)
    is_told = ready is not None and ready.reason == Reason.API_SERVER_ERROR
    if reconciling and reconciling.reason == Reason.API_SERVER_ERROR and not is_told:
        yield _transition(reconciling, is_expected=False)


def _consistency(before: list[StoredCondition], after: list[StoredCondition]) -> Iterator[Transition]:
    """Yield what the results are of, also where the same has happened again with other code or another image."""
    earlier, consistent = _find(before, Type.RESULTS_CONSISTENT), _find(after, Type.RESULTS_CONSISTENT)
    if consistent and (earlier is None or earlier.message != consistent.message):
        yield _transition(consistent, is_expected=consistent.is_true)


def _training(changed: list[StoredCondition]) -> Iterator[Transition]:
    finished = _find(changed, Type.TRAINING_FINISHED)
    if finished and finished.status != "False":
        yield _transition(finished, is_expected=finished.is_true)


def _transition(condition: StoredCondition, *, is_expected: bool) -> Transition:
    return Transition("Normal" if is_expected else "Warning", condition.reason, condition.message)


def event_of(evaluation: KubeObject, transition: Transition, seconds: float, instance: str) -> JsonObject:
    """Return the Event that records a transition at this time (seconds since 1970)."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{evaluation.name}.{int(seconds * 1e9):x}", "namespace": evaluation.namespace},
        "eventTime": f"{moment}.{int(seconds % 1 * 1e6):06d}Z",
        "type": transition.level,
        "reason": transition.reason,
        "note": transition.message[:1000],
        "action": "Reconcile",
        "reportingController": f"{names.GROUP}/{names.FIELD_MANAGER}",
        "reportingInstance": instance[:128],
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": evaluation.namespace,
            "name": evaluation.name,
            "uid": evaluation.uid,
            "resourceVersion": text_at(evaluation.raw, "metadata", "resourceVersion"),
        },
    }
