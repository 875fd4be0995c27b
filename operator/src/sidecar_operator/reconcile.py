"""One pass over one resource: look at everything, make the cluster what the spec says, report.

`controller` calls it for each key that a handler woke, after an error, and on every resync. It is level-triggered: it
never asks what has happened, only what is, so a pass may be repeated, interrupted or skipped. A pass that finds nothing
to change writes nothing. At most one status is written, at the end; Events follow once it is stored.
"""

import dataclasses
import logging
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Protocol

from sidecar_operator import events, kube_objects, pod_diagnosis, status, training_state, verdict
from sidecar_operator.cache import Store
from sidecar_operator.events import Transition
from sidecar_operator.kube_client import ApiError, NotFoundError, RefusedError
from sidecar_operator.kube_objects import Key, Object, TrainingRef
from sidecar_operator.manifests import Desired, desired
from sidecar_operator.pod_diagnosis import Warned
from sidecar_operator.training_state import Absence, Training
from sidecar_operator.verdict import Observed

logger = logging.getLogger(__name__)

YOUNG_SECONDS = 3.0
"""Age below which a pod that has not started is no riddle yet."""
PUZZLED_SECONDS = 60.0
"""How often, at least, the events of an object that makes no progress are read; more often while it is young."""
POLL_SECONDS = 10.0
"""How often a training of a kind without a watch is read."""
REFUSED_SECONDS = 60.0
"""How often a refused request is tried again."""

TrainingKind = tuple[str, str]
"""API version and kind."""


class Kubernetes(Protocol):
    """What a pass needs of the API; `cluster.Cluster` is the real one."""

    async def evaluation(self, key: Key) -> Object:
        """Read one resource."""

    async def children(self, kind: str, owner: Key) -> list[Object]:
        """List children of one resource."""

    async def find(self, manifest: Object) -> Object | None:
        """Read the object that a manifest names."""

    async def apply(self, manifest: Object) -> Object:
        """Apply a manifest."""

    async def apply_status(self, evaluation: Object, status: Object) -> Object:
        """Write the operator's part of the status."""

    async def delete_job(self, job: Object) -> None:
        """Delete a Job and its pods."""

    async def training(self, ref: TrainingRef) -> Object | Absence:
        """Read a training."""

    async def warnings(self, obj: Object) -> list[Warned]:
        """Read the Warning events about an object."""

    async def publish(self, evaluation: Object, transition: Transition) -> None:
        """Record a transition."""


class Reconciler:
    """Brings one resource after the other to where its spec wants it."""

    def __init__(
        self,
        cluster: Kubernetes,
        store: Store,
        default_image: str,
        watched: Collection[TrainingKind] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._default_image = default_image
        self._watched = frozenset(watched)
        self._now = now

    async def __call__(self, key: Key) -> float | None:
        """Make a pass; return the seconds after which to look again without being woken, None for never.

        Raises ApiError for what may succeed when it is tried again.
        """
        evaluation = self._store.evaluations.get(key)
        if evaluation is None or kube_objects.is_being_deleted(evaluation):
            return None
        wanted = desired(evaluation, self._default_image)
        followed = await self._follow(evaluation)
        if status.is_done(evaluation, wanted.job_name):
            seen = Observed(evaluation, training=followed)
            if await self._write(seen, status.settled_report(seen, self._timestamp())):
                return 0
            return self._poll(followed)
        seen = dataclasses.replace(await self._converge(evaluation, wanted), training=followed)
        if await self._report(seen):
            return 0
        return _earliest(self._poll(followed), self._look_again(seen))

    async def _report(self, seen: Observed) -> bool:
        """Write what was seen; tell whether the resource has changed meanwhile, so that it wants another pass."""
        found = verdict.verdict(seen)
        if found.has_ended:  # decided once and for all, so on the last results and not on a cached copy
            try:
                fresh = await self._cluster.evaluation(kube_objects.key_of(seen.evaluation))
            except NotFoundError:
                return False
            if kube_objects.generation_of(fresh) != kube_objects.generation_of(seen.evaluation):
                self._store.evaluations.update(fresh)
                return True
            seen = dataclasses.replace(seen, evaluation=fresh)
            found = verdict.verdict(seen)
        return await self._write(seen, status.report(seen, found, self._timestamp()))

    # ----------------------------------------------------------------------------------------------- the training

    async def _follow(self, evaluation: Object) -> Training | None:
        ref = kube_objects.training_ref_of(evaluation)
        if ref is None:
            return None
        previous = evaluation.get("status", {}).get("training")
        ended = training_state.recorded_end(ref, previous)
        return ended or training_state.follow(ref, await self._look_up(ref), previous, self._timestamp())

    async def _look_up(self, ref: TrainingRef) -> Object | Absence:
        if ref in self._store.trainings:
            return self._store.trainings.get(ref) or Absence.NOT_FOUND
        found = await self._cluster.training(ref)
        if not isinstance(found, Absence) and self._is_watched(ref):
            self._store.trainings.looked_up(ref, found)
        return found

    def _is_watched(self, ref: TrainingRef) -> bool:
        return (ref.api_version, ref.kind) in self._watched

    def _poll(self, followed: Training | None) -> float | None:
        if followed is None or followed.has_ended or self._is_watched(followed.ref):
            return None
        return POLL_SECONDS

    # ----------------------------------------------------------------------------------------------- the children

    async def _converge(self, evaluation: Object, wanted: Desired) -> Observed:
        """Make the children what they should be, as far as that is possible now, and say what is there."""
        is_replacing, refusal = False, None
        try:
            for child in wanted.identity:
                await self._apply(child)
            is_replacing = await self._retire(evaluation, wanted)
            if not is_replacing:
                await self._apply(wanted.job)
        except RefusedError as error:
            refusal = str(error)
        seen = self._observe(evaluation, wanted, is_replacing=is_replacing, refusal=refusal)
        riddle = self._riddle(seen)
        if riddle and self._age(riddle) >= YOUNG_SECONDS:
            seen = dataclasses.replace(seen, warnings=await self._cluster.warnings(riddle))
        return seen

    def _observe(self, evaluation: Object, wanted: Desired, *, is_replacing: bool, refusal: str | None) -> Observed:
        job = None if is_replacing else self._store.child(wanted.job)
        job_uid = kube_objects.uid_of(job) if job else ""
        found = self._store.children["Pod"].of(kube_objects.key_of(evaluation))
        return Observed(
            evaluation,
            job=job,
            pods=[pod for pod in found if job and kube_objects.is_owned_by(pod, job_uid)],
            is_replacing=is_replacing,
            refusal=refusal,
        )

    async def _apply(self, manifest: Object) -> None:
        """Apply a manifest unless the object already is as it says."""
        if is_part_of(manifest, self._store.child(manifest)):
            return
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if self._store.child(manifest) is None:
            await self._require_own(manifest)
        try:
            applied = await self._cluster.apply(manifest)
        except RefusedError as error:
            raise RefusedError(error.status, f"the API server refuses {kind} {name}: {error}") from error
        self._store.children[kind].put(applied)

    async def _require_own(self, manifest: Object) -> None:
        """Refuse to take over an object of this name that somebody else has made."""
        found = await self._cluster.find(manifest)
        if found is not None and kube_objects.owner_key_of(found) != kube_objects.owner_key_of(manifest):
            kind, name = manifest["kind"], manifest["metadata"]["name"]
            raise RefusedError(409, f"{kind} {name} exists and belongs to somebody else: remove it, or rename this")

    async def _retire(self, evaluation: Object, wanted: Desired) -> bool:
        """Delete every Job but the wanted one; tell whether one, or a pod of one, is still there."""
        key, uid = kube_objects.key_of(evaluation), kube_objects.uid_of(evaluation)
        if self._store.child(wanted.job) is None and evaluation.get("status", {}).get("job"):
            await self._look_at_children(key)
        outdated = [
            job
            for job in self._store.children["Job"].of(key)
            if job["metadata"]["name"] != wanted.job_name
            or kube_objects.is_being_deleted(job)
            or not kube_objects.is_owned_by(job, uid)
        ]
        for job in outdated:
            if not kube_objects.is_being_deleted(job):
                await self._cluster.delete_job(job)
        return bool(outdated) or self._has_old_pods(key, self._store.child(wanted.job))

    def _has_old_pods(self, key: Key, job: Object | None) -> bool:
        """Tell whether a pod of another Job runs, be it a deleted one of the same name."""
        return any(
            job is None or not kube_objects.is_owned_by(pod, kube_objects.uid_of(job))
            for pod in self._store.children["Pod"].of(key)
            if not pod_diagnosis.is_over(pod)
        )

    async def _look_at_children(self, key: Key) -> None:
        """Ask the API server itself before a Job is created: two evaluators must never run at the same time."""
        for kind in ("Job", "Pod"):
            for child in await self._cluster.children(kind, key):
                self._store.children[kind].put(child)

    # ------------------------------------------------------------------------------------------------- the report

    async def _write(self, seen: Observed, report: Object) -> bool:
        """Write a status that differs; tell whether others have changed the resource since it was read."""
        evaluation = seen.evaluation
        if not status.differs(evaluation, report):
            return False
        try:
            stored = await self._cluster.apply_status(evaluation, report)
        except NotFoundError:
            return False
        self._store.evaluations.update(stored)
        before = evaluation.get("status", {}).get("conditions") or []
        for transition in events.transitions(before, report["conditions"]):
            await self._publish(evaluation, transition)
        return _is_newer(stored, evaluation)

    async def _publish(self, evaluation: Object, transition: Transition) -> None:
        key = kube_objects.key_of(evaluation)
        logger.info("%s: %s: %s", key, transition.reason, transition.message)
        try:
            await self._cluster.publish(evaluation, transition)
        except ApiError as error:
            logger.warning("%s: the Event %s is not recorded: %s", key, transition.reason, error)

    # --------------------------------------------------------------------------------------- when to look again

    def _riddle(self, seen: Observed) -> Object | None:
        """Return the object whose events alone can tell why nothing runs, None where nothing is odd."""
        if seen.job is None or seen.job["spec"].get("suspend") or _has_ended(seen.job):
            return None
        pod = pod_diagnosis.newest([pod for pod in seen.pods if not pod_diagnosis.is_over(pod)])
        if pod is None:
            return seen.job
        return pod if pod_diagnosis.is_being_created(pod) else None

    def _look_again(self, seen: Observed) -> float | None:
        if seen.refusal is not None:
            return REFUSED_SECONDS
        riddle = self._riddle(seen)
        if riddle is None:
            return None
        return max(YOUNG_SECONDS, min(self._age(riddle), PUZZLED_SECONDS))

    def _age(self, obj: Object) -> float:
        created = datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
        return (self._now() - created).total_seconds()

    def _timestamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


def is_part_of(wanted: object, found: object) -> bool:
    """Tell whether an object holds all that a manifest says; a Job's template is not compared, it names the Job."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in UNCOMPARED or is_part_of(value, found.get(name)) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(is_part_of(one, other) for one, other in zip(wanted, found, strict=True))
        )
    return wanted == found


UNCOMPARED = frozenset({"apiVersion", "kind", "template"})


def _is_newer(stored: Object, seen: Object) -> bool:
    """Tell whether the spec or the evaluator's results have changed: no watch reports what an answer has brought."""
    now, before = (found.get("status", {}).get("results") for found in (stored, seen))
    return kube_objects.generation_of(stored) != kube_objects.generation_of(seen) or now != before


def _has_ended(job: Object) -> bool:
    return kube_objects.is_true(job, "Complete") or kube_objects.is_true(job, "Failed")


def _earliest(*delays: float | None) -> float | None:
    return min((delay for delay in delays if delay is not None), default=None)
