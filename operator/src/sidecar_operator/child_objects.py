"""Makes the children of one resource what its spec asks for: ServiceAccount, Role, RoleBinding and Job.

`reconcile` calls it in each pass. An object that already has every field of its manifest causes no request. The Job of
the run is kept, whatever another version of the operator has rendered into it. A Job is never changed into another one:
the old one is deleted, and the new one is created once no pod of the old one is left, so that two evaluators never run
at the same time.
"""

from dataclasses import dataclass
from typing import Protocol

from sidecar_operator import names, runs
from sidecar_operator.cache import Cache
from sidecar_operator.kube_client import ConflictError, RefusedError
from sidecar_operator.kube_objects import Job, JsonObject, Key, KubeObject
from sidecar_operator.manifests import Manifests, is_applied
from sidecar_operator.resource_view import SidecarEvaluation


class ChildClient(Protocol):
    """The requests that are needed; `kube_client.KubeClient` has them."""

    async def list_children(self, kind: str, owner: Key) -> list[JsonObject]:
        """List children of one resource."""

    async def read(self, manifest: JsonObject) -> JsonObject | None:
        """Read the object that a manifest names."""

    async def create(self, manifest: JsonObject) -> JsonObject:
        """Create the object of a manifest."""

    async def apply(self, manifest: JsonObject) -> JsonObject:
        """Apply a manifest."""

    async def patch(self, obj: KubeObject, change: JsonObject) -> JsonObject:
        """Change fields of an object."""

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
        """Apply the manifests, as far as that is possible now."""
        try:
            for manifest in manifests.identity:
                await self._apply(manifest)
            job = await self._job_of_run(evaluation, manifests)
            if await self._delete_outdated_jobs(evaluation, job):
                return Applied(is_replacing=True)
            if job is None:
                await self._apply(manifests.job)
            elif job.made_for_generation != manifests.run.generation:
                await self._carry_over(job, manifests)
        except RefusedError as error:
            return Applied(refusal=str(error))
        return Applied(job=self._find_job(evaluation, manifests))

    async def _apply(self, manifest: JsonObject) -> None:
        """Apply a manifest unless the object already has every field of it."""
        child, obj = self._cache.child(manifest), KubeObject(manifest)
        if child is not None and is_applied(manifest, child.raw):
            return
        try:
            applied = await (self._create(manifest) if child is None else self._client.apply(manifest))
        except RefusedError as error:
            raise RefusedError(
                error.status,
                f"the API server refuses {obj.kind} {obj.name} in namespace {obj.namespace}: {error}; "
                "change the quota, policy or permission that this names, or the spec",
            ) from error
        self._cache.children[obj.kind].put(applied)

    async def _create(self, manifest: JsonObject) -> JsonObject:
        """Create a child that the cache does not have; one that exists all the same is put right, if it is ours."""
        try:
            return await self._client.create(manifest)
        except ConflictError:
            existing = await self._client.read(manifest)
        if existing is None:
            raise ConflictError(409, f"{manifest['kind']} {KubeObject(manifest).name} was deleted just now")
        _require_not_foreign(KubeObject(manifest), KubeObject(existing))
        return existing if is_applied(manifest, existing) else await self._client.apply(manifest)

    async def _job_of_run(self, evaluation: SidecarEvaluation, manifests: Manifests) -> Job | None:
        """Return the Job of the run; before one is missed that was there, the API server is asked."""
        job = self._find_job(evaluation, manifests)
        if job is None and evaluation.job_name:
            await self._refresh(evaluation.key)
            job = self._find_job(evaluation, manifests)
        return job

    def _find_job(self, evaluation: SidecarEvaluation, manifests: Manifests) -> Job | None:
        jobs = (job for job in self._cache.jobs.of(evaluation.key) if job.is_owned_by(evaluation))
        matching = (job for job in jobs if runs.is_made_for(job, manifests.run, evaluation))
        return next((job for job in matching if not job.is_being_deleted), None)

    async def _carry_over(self, job: Job, manifests: Manifests) -> None:
        """Note on a Job that it serves the present generation too, and take over what may change on a Job."""
        annotations = {names.GENERATION_ANNOTATION: str(manifests.run.generation)}
        change = {"metadata": {"annotations": annotations}, "spec": {"suspend": manifests.job["spec"]["suspend"]}}
        self._cache.jobs.put({**await self._client.patch(job, change), "kind": "Job"})

    async def _delete_outdated_jobs(self, evaluation: SidecarEvaluation, job: Job | None) -> bool:
        """Delete every Job but the one that should exist; tell whether one, or a pod of one, still exists."""
        existing = self._cache.jobs.of(evaluation.key)
        outdated = [candidate for candidate in existing if job is None or candidate.uid != job.uid]
        for outdated_job in outdated:
            if not outdated_job.is_being_deleted:
                await self._client.delete_job(outdated_job)
        return bool(outdated) or self._has_outdated_pods(evaluation.key, job)

    def _has_outdated_pods(self, key: Key, job: KubeObject | None) -> bool:
        """Tell whether a pod of another Job runs, even of a deleted Job of the same name."""
        running = (pod for pod in self._cache.pods.of(key) if not pod.is_over)
        return any(job is None or not pod.is_owned_by(job) for pod in running)

    async def _refresh(self, key: Key) -> None:
        """List Jobs and pods at the API server: a Job must not be created while the cache misses another one."""
        for kind in ("Job", "Pod"):
            for child in await self._client.list_children(kind, key):
                self._cache.children[kind].put(child)


def _require_not_foreign(wanted: KubeObject, existing: KubeObject) -> None:
    """Raise RefusedError where the object of this name is no child of the resource."""
    if existing.owner_key != wanted.owner_key:
        raise RefusedError(
            409,
            f"{wanted.kind} {wanted.name} in namespace {wanted.namespace} exists and does not belong to this resource: "
            "delete it, or create the resource under another name",
        )
