"""Follows the training of one resource: reads it where the cache does not have it, and says what its state is.

`reconcile` calls it once in each pass. What comes from a watch may be out of date, so an end that is not recorded yet
is decided on the training as it is read then. A training that cannot be read now keeps its last state and stops
nothing else of the pass.
"""

from collections.abc import Callable
from typing import Protocol

from sidecar_operator import training_state
from sidecar_operator.cache import Cache
from sidecar_operator.kube_client import ApiError
from sidecar_operator.kube_objects import JsonObject, KubeObject
from sidecar_operator.resource_view import RecordedTraining, SidecarEvaluation, TrainingRef
from sidecar_operator.training_state import Absence, Training, Unreadable

POLL_SECONDS = 10.0
"""How often a training without a watch is read."""


class TrainingClient(Protocol):
    """The request that is needed; `kube_client.KubeClient` has it."""

    async def read_training(self, ref: TrainingRef) -> JsonObject | Absence:
        """Read a training."""


class TrainingFollower:
    """Reads trainings, from the cache where they are watched."""

    def __init__(self, client: TrainingClient, cache: Cache, request_watch: Callable[[TrainingRef], None]) -> None:
        self._client = client
        self._cache = cache
        self._request_watch = request_watch

    async def follow(
        self, evaluation: SidecarEvaluation, now: str, *, is_over: bool, keeps_end: bool
    ) -> Training | None:
        """Return the state of the training, None where the resource names none.

        Of an evaluation that is over, the training is the object that it followed, never another one of that name.
        `keeps_end`: an end that is recorded is final, because the evaluator has ended after it.
        """
        ref, recorded = evaluation.training_ref, evaluation.training
        if ref is None:
            return None
        if keeps_end and (ended := training_state.recorded_end(ref, recorded)):
            return ended
        observed, is_fresh = await self._look(ref)
        training = _state(ref, observed, recorded, now, is_over=is_over)
        if is_fresh or not training.has_ended or training.is_recorded(recorded):
            return training
        return _state(ref, await self._read(ref), recorded, now, is_over=is_over)

    def seconds_to_poll(self, training: Training | None, *, is_over: bool) -> float | None:
        """Return when the training is to be read again without being woken, None for never."""
        if training is None or self._cache.trainings.is_watched(training.ref) or (is_over and training.has_ended):
            return None
        return POLL_SECONDS

    async def _look(self, ref: TrainingRef) -> tuple[KubeObject | Absence | Unreadable, bool]:
        """Return the training as last seen, and whether it was read just now."""
        if ref in self._cache.trainings:
            return self._cache.trainings.get(ref) or Absence.NOT_FOUND, False
        if not self._cache.trainings.is_watched(ref):
            self._request_watch(ref)
        training = await self._read(ref)
        if isinstance(training, KubeObject):
            self._cache.trainings.put_read(ref, training.raw)
        elif training is Absence.NOT_FOUND:
            self._cache.trainings.put_read(ref, None)
        return training, True

    async def _read(self, ref: TrainingRef) -> KubeObject | Absence | Unreadable:
        try:
            training = await self._client.read_training(ref)
        except ApiError as error:
            return Unreadable(str(error))
        return training if isinstance(training, Absence) else KubeObject(training)


def _state(
    ref: TrainingRef,
    observed: KubeObject | Absence | Unreadable,
    recorded: RecordedTraining,
    now: str,
    *,
    is_over: bool,
) -> Training:
    if is_over and isinstance(observed, KubeObject) and recorded.uid and observed.uid != recorded.uid:
        observed = Absence.NOT_FOUND
    return training_state.follow(ref, observed, recorded, now)
