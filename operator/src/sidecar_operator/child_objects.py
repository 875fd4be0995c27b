"""Makes the children of one resource what its spec asks for: ServiceAccount, Role, RoleBinding and Job.

`reconcile` calls it in each pass. An object that already has every field of its manifest causes no request. Labels
select objects, but only an ownerReference makes one a child: objects of others are neither changed nor deleted. The Job
of the run is kept, whatever another version of the operator has rendered into it. A Job is never changed into another
one: once a dry run has shown that the API server accepts the new one, the old one is deleted, and the new one is
created when no pod of the old one is left, so that two evaluators never run at once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from sidecar_operator import names, runs
from sidecar_operator.cache import Cache
from sidecar_operator.job_quota import has_room_after
from sidecar_operator.kube_client import ApiError, ConflictError, RefusedError
from sidecar_operator.kube_objects import Job, JsonObject, Key, KubeObject, OwnerReference
from sidecar_operator.manifests import Manifests, is_applied, suspend_text
from sidecar_operator.resource_view import SidecarEvaluation


class ChildClient(Protocol):
    """The requests that are needed; `kube_client.KubeClient` has them."""

    async def list_children(self, kind: str, owner: Key) -> list[JsonObject]:
        """List children of one resource."""

    async def read(self, manifest: JsonObject) -> JsonObject | None:
        """Read the object that a manifest names."""

    async def create(self, manifest: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create the object of a manifest, or ask whether it would be accepted."""

    async def apply(self, manifest: JsonObject) -> JsonObject:
        """Apply a manifest."""

    async def patch(self, obj: KubeObject, change: JsonObject) -> JsonObject:
        """Change fields of an object, unless it has changed since it was read."""

    async def delete_job(self, job: KubeObject) -> None:
        """Delete a Job and its pods."""


@dataclass(frozen=True)
class Applied:
    """How far the children are what they should be."""

    job: Job | None = None
    """The Job of the run, where it exists."""
    is_replacing: bool = False
    """A Job of an earlier spec, or a pod of one, still exists; the new Job waits for its end."""
    refusal: str | None = None
    """Why a child could not be applied, where the API server refused it."""


class ChildApplier:
    """Applies manifests and deletes outdated Jobs."""

    def __init__(self, client: ChildClient, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    async def apply(self, evaluation: SidecarEvaluation, manifests: Manifests) -> Applied:
        """Apply the manifests, as far as that is possible now; a suspend comes first, whatever is refused then."""
        try:
            await self._request_suspend(evaluation, manifests)
            if not self._has_ended(evaluation, manifests):
                for manifest in manifests.identity:
                    await self._apply(evaluation, manifest)
            job = await self._job_of_run(evaluation, manifests)
            if await self._is_replacing(evaluation, manifests, job):
                return Applied(is_replacing=True)
            if job is None:
                await self._apply(evaluation, manifests.job)
            elif job.made_for_generation != manifests.run.generation:
                await self._patch(job, {"metadata": {"annotations": _of_run(manifests)}})
        except _PredecessorLeftError:
            return Applied(is_replacing=True)
        except RefusedError as error:
            return Applied(self.find_job(evaluation, manifests), refusal=str(error))
        return Applied(self.find_job(evaluation, manifests))

    def _has_ended(self, evaluation: SidecarEvaluation, manifests: Manifests) -> bool:
        """Tell whether the Job of the run has ended, so that its evaluator needs no rights any more."""
        job = self.find_job(evaluation, manifests)
        return job is not None and job.has_ended

    # --------------------------------------------------------------------------------------------------- suspending

    async def _request_suspend(self, evaluation: SidecarEvaluation, manifests: Manifests) -> None:
        """Set `suspend` of Jobs where the spec asks for another value than was requested last.

        A value that somebody else has written meanwhile stays: the annotation, not the field, is compared. What is
        about to be replaced is not resumed.
        """
        wanted = suspend_text(suspend=evaluation.is_suspended)
        kept = self.find_job(evaluation, manifests)
        for job in self._jobs_of(evaluation):
            is_kept = kept is not None and job.uid == kept.uid
            is_over = job.is_being_deleted or job.has_ended
            if job.requested_suspend == wanted or is_over or not (evaluation.is_suspended or is_kept):
                continue
            annotations = {names.SUSPEND_ANNOTATION: wanted} | (_of_run(manifests) if is_kept else {})
            await self._patch(job, {"metadata": {"annotations": annotations}, "spec": {"suspend": wanted == "true"}})

    # -------------------------------------------------------------------------------------------- applying manifests

    async def _apply(self, evaluation: SidecarEvaluation, manifest: JsonObject) -> None:
        """Apply a manifest unless the object already has every field of it."""
        cached = self._cache.child(manifest)
        child = cached or await self._create(manifest)
        _require_child(evaluation, child)
        if not is_applied(manifest, child.raw):
            child = await self._put_right(child, manifest)
        if child is not cached:
            self._cache.children[child.kind].put(child.raw)

    async def _put_right(self, child: KubeObject, manifest: JsonObject) -> KubeObject:
        """Give a child every field of its manifest; a Job only its labels, by which it is found again."""
        if child.kind == "Job":
            return await self._patch(child, {"metadata": {"labels": manifest["metadata"]["labels"]}})
        with _named(manifest):
            return KubeObject(await self._client.apply(manifest))

    async def _patch(self, job: KubeObject, change: JsonObject) -> KubeObject:
        """Change fields of a Job; what others have written into its other fields stays."""
        with _named(job.raw):
            try:
                patched = {**await self._client.patch(job, change), "kind": "Job"}
            except ConflictError:
                if newer := await self._client.read(job.raw):
                    self._cache.jobs.put(newer)  # for the next attempt, which need not wait for the watch
                raise
        self._cache.jobs.put(patched)
        return KubeObject(patched)

    async def _create(self, manifest: JsonObject) -> KubeObject:
        """Create a child that the cache does not have; return it, or the object that has its name already."""
        with _named(manifest):
            try:
                return KubeObject(await self._client.create(manifest))
            except ConflictError:
                existing = await self._client.read(manifest)
            if existing is None:
                raise ConflictError(409, "it was deleted just now")
        return KubeObject(existing)

    # ------------------------------------------------------------------------------------------------ replacing Jobs

    async def _job_of_run(self, evaluation: SidecarEvaluation, manifests: Manifests) -> Job | None:
        """Return the Job of the run; before one is missed that was there, the API server is asked."""
        job = self.find_job(evaluation, manifests)
        if job is None and evaluation.job_name:
            await self._refresh(evaluation.key)
            await self._mend_labels(evaluation, manifests)
            job = self.find_job(evaluation, manifests)
        return job

    async def _mend_labels(self, evaluation: SidecarEvaluation, manifests: Manifests) -> None:
        """Give the Job that the status names its labels back: without them no list and no watch has it."""
        metadata = {"namespace": evaluation.namespace, "name": evaluation.job_name}
        if evaluation.job_name in {job.name for job in self._cache.jobs.of(evaluation.key)}:
            return
        stored = await self._client.read({"kind": "Job", "metadata": metadata})
        job = KubeObject({**stored, "kind": "Job"}) if stored else None
        if job is not None and job.is_owned_by(evaluation):
            await self._put_right(job, manifests.job)

    def find_job(self, evaluation: SidecarEvaluation, manifests: Manifests) -> Job | None:
        """Return the Job of the run as last seen."""
        matching = (job for job in self._jobs_of(evaluation) if runs.is_made_for(job, manifests.run, evaluation))
        return next((job for job in matching if not job.is_being_deleted), None)

    async def _is_replacing(self, evaluation: SidecarEvaluation, manifests: Manifests, job: Job | None) -> bool:
        """Delete every Job but the one that should exist; tell whether one, or a pod of one, still exists."""
        outdated = [candidate for candidate in self._jobs_of(evaluation) if job is None or candidate.uid != job.uid]
        live = [candidate for candidate in outdated if not candidate.is_being_deleted]
        if live and job is None:
            await self._require_accepted(evaluation, manifests.job, live)
        for outdated_job in live:
            await self._client.delete_job(outdated_job)
        return bool(outdated) or (job is None and await self._is_predecessor_left(evaluation))

    async def _require_accepted(self, evaluation: SidecarEvaluation, job: JsonObject, replaced: Sequence[Job]) -> None:
        """Raise RefusedError where the new Job would be refused even after the deletion of those it replaces."""
        try:
            with _named(job):
                await self._client.create(job, dry_run=True)
        except ConflictError:
            if existing := await self._client.read(job):
                _require_child(evaluation, KubeObject(existing))
        except RefusedError as error:
            if has_room_after(str(error.__cause__), len(replaced)):
                return
            is_running = not all(existing.has_ended for existing in replaced)
            rest = "; the evaluator of the earlier spec goes on" if is_running else ""
            raise RefusedError(error.status, f"{error}{rest}") from error

    async def _is_predecessor_left(self, evaluation: SidecarEvaluation) -> bool:
        """Tell whether a Job of an earlier resource of this name exists, or a pod runs whose Job was deleted."""
        if any(job.is_of_namesake(evaluation) for job in self._cache.jobs.of(evaluation.key)):
            return True
        running = [pod for pod in self._cache.pods.of(evaluation.key) if not pod.is_over]
        controllers = {pod.controller.uid: pod.controller for pod in running if pod.controller.kind == "Job"}
        for controller in controllers.values():
            if await self._is_predecessors_job(evaluation, controller):
                return True
        return False

    async def _is_predecessors_job(self, evaluation: SidecarEvaluation, controller: OwnerReference) -> bool:
        """Tell whether a pod's Job is of this resource or an earlier one; pods of a deleted Job are garbage by now."""
        job: KubeObject | None = self._cache.jobs.get(Key(evaluation.namespace, controller.name))
        if job is None or job.uid != controller.uid:
            metadata = {"namespace": evaluation.namespace, "name": controller.name}
            job = KubeObject(await self._client.read({"kind": "Job", "metadata": metadata}) or {})
        return job.uid != controller.uid or job.is_owned_by(evaluation) or job.is_of_namesake(evaluation)

    def _jobs_of(self, evaluation: SidecarEvaluation) -> list[Job]:
        return [job for job in self._cache.jobs.of(evaluation.key) if job.is_owned_by(evaluation)]

    async def _refresh(self, key: Key) -> None:
        """List Jobs and pods at the API server: a Job must not be created while the cache misses another one."""
        for kind in ("Job", "Pod"):
            for child in await self._client.list_children(kind, key):
                self._cache.children[kind].put(child)


class _PredecessorLeftError(Exception):
    """A child of an earlier resource of this name exists; the garbage collector deletes it."""


def _require_child(evaluation: SidecarEvaluation, existing: KubeObject) -> None:
    """Raise RefusedError where an object that has the name of a child is somebody else's."""
    if existing.is_of_namesake(evaluation):
        raise _PredecessorLeftError
    if not existing.is_owned_by(evaluation):
        raise RefusedError(
            409,
            f"{existing.kind} {existing.name} in namespace {existing.namespace} exists and does not belong to this "
            "resource: delete it, or create the resource under another name",
        )


@contextmanager
def _named(manifest: JsonObject) -> Iterator[None]:
    """Let errors name the object that could not be written, and say of a refusal what to do."""
    obj = KubeObject(manifest)
    name = f"{obj.kind} {obj.name} in namespace {obj.namespace}"
    try:
        yield
    except RefusedError as error:
        advice = "change the quota, policy or permission that this names, or the spec"
        raise RefusedError(error.status, f"the API server refuses {name}: {error}; {advice}") from error
    except ApiError as error:
        raise type(error)(error.status, f"{name} cannot be written: {error}", error.retry_after) from error


def _of_run(manifests: Manifests) -> dict[str, str]:
    """Return the annotations that note on a Job that it serves the present generation too."""
    run = manifests.run
    return {names.GENERATION_ANNOTATION: str(run.generation), names.ATTEMPT_ANNOTATION: str(run.attempt)}
