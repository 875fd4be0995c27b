"""A client of an API server in memory, with the requests that a pass needs; it records them and can refuse some.

It stores what is applied, numbers versions, keeps a deleted Job until its pods are gone, and fills a cache as watches
would. Tests of passes use it in place of `kube_client.KubeClient`.
"""

import itertools
from dataclasses import dataclass, field

from sidecar_operator import names
from sidecar_operator.cache import Cache
from sidecar_operator.events import Transition
from sidecar_operator.kube_client import ApiError, ConflictError, NotFoundError
from sidecar_operator.kube_objects import JsonObject, Key, KubeObject, WarningEvent
from sidecar_operator.resource_view import TrainingRef
from sidecar_operator.training_state import Absence
from unit.operator.support.samples import EARLIER

Address = tuple[str, Key]


@dataclass
class FakeKubeClient:
    """Implements `reconcile.ReconcileClient`."""

    objects: dict[Address, JsonObject] = field(default_factory=dict)
    trainings: dict[TrainingRef, JsonObject | Absence | ApiError] = field(default_factory=dict)
    warnings: list[WarningEvent] = field(default_factory=list)
    training_pods: list[JsonObject] = field(default_factory=list)
    """Pods of a training that have not ended."""
    refusals: dict[str, ApiError] = field(default_factory=dict)
    """Errors by kind of the object that is applied; `status` and `events` are kinds of their own here."""
    calls: list[str] = field(default_factory=list)
    published: list[Transition] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._versions = itertools.count(1000)

    @property
    def writes(self) -> list[str]:
        """Requests that change something, in order."""
        changing = {"create", "apply", "patch", "status", "delete", "event"}
        return [call for call in self.calls if call.split()[0] in changing]

    def put(self, obj: JsonObject) -> JsonObject:
        """Store an object as a new version of itself."""
        address = address_of(obj)
        stamp = {
            "uid": self.objects.get(address, obj)["metadata"].get("uid") or f"uid-{next(self._versions)}",
            "resourceVersion": str(next(self._versions)),
            "creationTimestamp": obj["metadata"].get("creationTimestamp", EARLIER),
        }
        self.objects[address] = {**obj, "metadata": {**obj["metadata"], **stamp}}
        return self.objects[address]

    def of_kind(self, kind: str) -> list[JsonObject]:
        """Return all objects of a kind."""
        return [obj for (obj_kind, _), obj in self.objects.items() if obj_kind == kind]

    def only(self, kind: str, name: str | None = None) -> JsonObject:
        """Return the only object of a kind, or the one of this name."""
        objects = [obj for obj in self.of_kind(kind) if name in (None, obj["metadata"]["name"])]
        assert len(objects) == 1, f"{len(objects)} objects of kind {kind}"
        return objects[0]

    def remove(self, obj: JsonObject) -> None:
        """Remove an object at once."""
        del self.objects[address_of(obj)]

    def apply_results(self, results: JsonObject) -> None:
        """Write results as the evaluator does."""
        stored = self.only(names.KIND)
        self.put({**stored, "status": {**stored["status"], "results": results}})

    def watch(self, cache: Cache) -> None:
        """Bring a cache up to date with everything."""
        version = next(self._versions)
        for kind, children in cache.children.items():
            children.replace(self.of_kind(kind), version)
        cache.evaluations.replace(self.of_kind(names.KIND), version)

    async def read_evaluation(self, key: Key) -> JsonObject:
        self.calls.append("get evaluation")
        if (names.KIND, key) not in self.objects:
            raise NotFoundError(404, "not found")
        return self.objects[names.KIND, key]

    async def list_children(self, kind: str, owner: Key) -> list[JsonObject]:
        self.calls.append(f"list {kind}")
        return [obj for obj in self.of_kind(kind) if KubeObject(obj).owner_key == owner]

    async def read(self, manifest: JsonObject) -> JsonObject | None:
        self.calls.append(f"get {manifest['kind']}")
        return self.objects.get(address_of(manifest))

    async def create(self, manifest: JsonObject, *, dry_run: bool = False) -> JsonObject:
        kind = manifest["kind"]
        self.calls.append(f"{'dry-run' if dry_run else 'create'} {kind}")
        if address_of(manifest) in self.objects:
            raise ConflictError(409, "already exists")
        if kind in self.refusals:
            raise self.refusals[kind]
        return manifest if dry_run else self.put(manifest)

    async def apply(self, manifest: JsonObject) -> JsonObject:
        kind = manifest["kind"]
        self.calls.append(f"apply {kind}")
        if kind in self.refusals:
            raise self.refusals[kind]
        stored = self.objects.get(address_of(manifest), {})
        return self.put({**stored, **manifest, "metadata": {**stored.get("metadata", {}), **manifest["metadata"]}})

    async def patch(self, obj: KubeObject, change: JsonObject) -> JsonObject:
        self.calls.append(f"patch {obj.kind}")
        stored = self.objects[obj.kind, obj.key]
        if KubeObject(stored).resource_version != obj.resource_version:
            raise ConflictError(409, "the object has been modified")
        written = {
            field: stored["metadata"].get(field, {}) | change["metadata"][field]
            for field in ("annotations", "labels")
            if field in change["metadata"]
        }
        spec = {**stored["spec"], **change.get("spec", {})}
        return self.put({**stored, "metadata": {**stored["metadata"], **written}, "spec": spec})

    async def apply_status(self, evaluation: KubeObject, status: JsonObject) -> JsonObject:
        self.calls.append("status")
        if "status" in self.refusals:
            raise self.refusals["status"]
        stored = self.objects.get((names.KIND, evaluation.key))
        if stored is None:
            raise NotFoundError(404, "not found")
        if KubeObject(stored).resource_version != evaluation.resource_version:
            raise ConflictError(409, "the object has been modified")
        results = {field: value for field, value in stored["status"].items() if field == "results"}
        return self.put({**stored, "status": {**results, **status}})

    async def delete_job(self, job: KubeObject) -> None:
        self.calls.append("delete Job")
        stored = self.objects["Job", job.key]
        self.put({**stored, "metadata": {**stored["metadata"], "deletionTimestamp": EARLIER}})

    async def read_training(self, ref: TrainingRef) -> JsonObject | Absence:
        self.calls.append("get training")
        answer = self.trainings.get(ref, Absence.NOT_FOUND)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def list_live_pods(self, namespace: str, selector: str) -> list[JsonObject]:
        self.calls.append(f"pods {selector}")
        if "pods" in self.refusals:
            raise self.refusals["pods"]
        return self.training_pods

    async def list_warnings(self, obj: KubeObject) -> list[WarningEvent]:
        self.calls.append(f"warnings {obj.kind}")
        return self.warnings

    async def publish_event(self, evaluation: KubeObject, transition: Transition) -> None:
        self.calls.append("event")
        if "events" in self.refusals:
            raise self.refusals["events"]
        self.published.append(transition)


def address_of(obj: JsonObject) -> Address:
    """Return kind, namespace and name of an object."""
    return obj["kind"], KubeObject(obj).key
