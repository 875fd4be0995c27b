"""An API server in memory, with the verbs that a pass needs; it counts requests and can be told to refuse.

It stores what is applied, numbers versions, keeps a deleted Job until its pods are gone, and hands everything to a
store as watches would.
"""

import itertools
from dataclasses import dataclass, field

from sidecar_operator import kube_objects
from sidecar_operator.cache import Store
from sidecar_operator.events import Transition
from sidecar_operator.kube_client import ApiError, NotFoundError
from sidecar_operator.kube_objects import Key, Object, TrainingRef
from sidecar_operator.pod_diagnosis import Warned
from sidecar_operator.training_state import Absence
from unit.operator.support.samples import EARLIER

Address = tuple[str, Key]


@dataclass
class FakeCluster:
    """Implements `reconcile.Kubernetes`."""

    objects: dict[Address, Object] = field(default_factory=dict)
    trainings: dict[TrainingRef, Object | Absence] = field(default_factory=dict)
    warned: list[Warned] = field(default_factory=list)
    refusals: dict[str, ApiError] = field(default_factory=dict)
    """Errors by kind of the object that is applied; `status` and `events` are kinds of their own here."""
    calls: list[str] = field(default_factory=list)
    published: list[Transition] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._versions = itertools.count(1000)

    @property
    def writes(self) -> list[str]:
        """Requests that change something, in order."""
        return [call for call in self.calls if call.split()[0] in {"apply", "status", "delete", "event"}]

    def put(self, obj: Object) -> Object:
        """Store an object as a new version of itself."""
        address = (obj["kind"], kube_objects.key_of(obj))
        stamp = {
            "uid": self.objects.get(address, obj)["metadata"].get("uid") or f"uid-{next(self._versions)}",
            "resourceVersion": str(next(self._versions)),
            "creationTimestamp": obj["metadata"].get("creationTimestamp", EARLIER),
        }
        self.objects[address] = {**obj, "metadata": {**obj["metadata"], **stamp}}
        return self.objects[address]

    def only(self, kind: str, name: str | None = None) -> Object:
        """Return the only object of a kind, or the one of this name."""
        found = [obj for (its_kind, key), obj in self.objects.items() if its_kind == kind and name in (None, key.name)]
        assert len(found) == 1, f"{len(found)} objects of kind {kind}"
        return found[0]

    def remove(self, obj: Object) -> None:
        """Remove an object at once."""
        del self.objects[obj["kind"], kube_objects.key_of(obj)]

    def watch(self, store: Store) -> None:
        """Bring a store up to date with everything."""
        version = next(self._versions)
        by_kind = {kind: [obj for (its, _), obj in self.objects.items() if its == kind] for kind in store.children}
        for kind, objects in by_kind.items():
            store.children[kind].replace(objects, version)
        store.evaluations.replace([obj for (its, _), obj in self.objects.items() if its == kube_objects.KIND], version)

    async def evaluation(self, key: Key) -> Object:
        self.calls.append("get evaluation")
        if (kube_objects.KIND, key) not in self.objects:
            raise NotFoundError(404, "not found")
        return self.objects[kube_objects.KIND, key]

    async def children(self, kind: str, owner: Key) -> list[Object]:
        self.calls.append(f"list {kind}")
        return [
            obj for (its, _), obj in self.objects.items() if its == kind and kube_objects.owner_key_of(obj) == owner
        ]

    async def find(self, manifest: Object) -> Object | None:
        self.calls.append(f"get {manifest['kind']}")
        return self.objects.get((manifest["kind"], kube_objects.key_of(manifest)))

    async def apply(self, manifest: Object) -> Object:
        kind = manifest["kind"]
        self.calls.append(f"apply {kind}")
        if kind in self.refusals:
            raise self.refusals[kind]
        known = self.objects.get((kind, kube_objects.key_of(manifest)), {})
        return self.put({**known, **manifest, "metadata": {**known.get("metadata", {}), **manifest["metadata"]}})

    async def apply_status(self, evaluation: Object, status: Object) -> Object:
        self.calls.append("status")
        if "status" in self.refusals:
            raise self.refusals["status"]
        known = self.objects.get((kube_objects.KIND, kube_objects.key_of(evaluation)))
        if known is None:
            raise NotFoundError(404, "not found")
        results = {name: value for name, value in known["status"].items() if name == "results"}
        return self.put({**known, "status": {**results, **status}})

    async def delete_job(self, job: Object) -> None:
        self.calls.append("delete Job")
        known = self.objects[job["kind"], kube_objects.key_of(job)]
        self.put({**known, "metadata": {**known["metadata"], "deletionTimestamp": EARLIER}})

    async def training(self, ref: TrainingRef) -> Object | Absence:
        self.calls.append("get training")
        return self.trainings.get(ref, Absence.NOT_FOUND)

    async def warnings(self, obj: Object) -> list[Warned]:
        self.calls.append(f"warnings {obj['kind']}")
        return self.warned

    async def publish(self, evaluation: Object, transition: Transition) -> None:
        self.calls.append("event")
        if "events" in self.refusals:
            raise self.refusals["events"]
        self.published.append(transition)
