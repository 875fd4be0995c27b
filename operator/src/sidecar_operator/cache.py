"""What the operator last saw of the cluster: a cache for each kind, filled by watches, lists and its own writes.

`handlers` and `controller` fill it, `reconcile`, `child_objects` and `metrics` read it, so that a pass that changes
nothing sends no request. Of two versions of an object the newer one stays, whatever their order of arrival; a list
replaces everything that is older than itself. Fields that no pass reads are dropped.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from sidecar_operator.kube_objects import Job, JsonObject, Key, KubeObject, Pod, object_at, value_at
from sidecar_operator.resource_view import SidecarEvaluation, TrainingRef

View = TypeVar("View", bound=KubeObject)

CHILD_KINDS = ("ServiceAccount", "Role", "RoleBinding", "Job", "Pod")
"""Kinds whose objects belong to a resource by label."""


def owner_of(obj: KubeObject) -> Key | None:
    """Return the resource that a child belongs to."""
    return obj.owner_key


class KindCache(Generic[View]):
    """Objects of one kind, indexed by a value of each: children by the resource that they belong to."""

    def __init__(
        self, view: Callable[[JsonObject], View], index_by: Callable[[View], Hashable | None] = owner_of
    ) -> None:
        self._view = view
        self._index_by = index_by
        self._objects: dict[Key, View] = {}
        self._keys: defaultdict[Hashable, set[Key]] = defaultdict(set)

    def __iter__(self) -> Iterator[View]:
        return iter(list(self._objects.values()))

    def get(self, key: Key) -> View | None:
        """Return the object of this namespace and name."""
        return self._objects.get(key)

    def of(self, index: Hashable) -> list[View]:
        """Return the objects with this value of the index, by name."""
        return [self._objects[key] for key in sorted(self._keys.get(index, ()))]

    def put(self, raw: JsonObject) -> bool:
        """Store the object unless the stored version is as new; tell whether it was stored."""
        received = KubeObject(raw)
        stored = self._objects.get(received.key)
        if stored is not None and stored.resource_version >= received.resource_version:
            return False
        self._discard(received.key)
        obj = self._view(trimmed(raw))
        self._objects[obj.key] = obj
        if (index := self._index_by(obj)) is not None:
            self._keys[index].add(obj.key)
        return True

    def update(self, raw: JsonObject) -> None:
        """Store the newer version of an object that is here, and ignore one that has been removed meanwhile."""
        if self._same(raw) is not None:
            self.put(raw)

    def remove(self, raw: JsonObject) -> bool:
        """Drop a deleted object, unless another one has taken its name; tell whether it was here."""
        stored = self._same(raw)
        if stored is None:
            return False
        self._discard(stored.key)
        return True

    def replace(self, objects: Iterable[JsonObject], version: int, namespace: str | None = None) -> None:
        """Take over a list that the API server made at this resourceVersion, of one namespace or of all."""
        listed = {KubeObject(raw).key: raw for raw in objects}
        for key, stored in list(self._objects.items()):
            is_covered = namespace in (None, key.namespace) and stored.resource_version <= version
            if is_covered and key not in listed:
                self._discard(key)
        for raw in listed.values():
            self.put(raw)

    def _same(self, raw: JsonObject) -> View | None:
        """Return the stored version of the same object, by name and uid."""
        obj = KubeObject(raw)
        stored = self._objects.get(obj.key)
        return stored if stored is not None and stored.uid == obj.uid else None

    def _discard(self, key: Key) -> None:
        stored = self._objects.pop(key, None)
        index = self._index_by(stored) if stored else None
        if index is not None:
            self._keys[index].discard(key)
            if not self._keys[index]:
                del self._keys[index]


class TrainingCache:
    """Training objects that resources follow, and those that no longer exist."""

    def __init__(self) -> None:
        self._objects: dict[TrainingRef, KubeObject | None] = {}

    def __iter__(self) -> Iterator[TrainingRef]:
        return iter(self._objects)

    def __contains__(self, ref: TrainingRef) -> bool:
        return ref in self._objects

    def get(self, ref: TrainingRef) -> KubeObject | None:
        """Return the training, None where it no longer exists."""
        return self._objects[ref]

    def put_watched(self, ref: TrainingRef, raw: JsonObject | None) -> None:
        """Take over what a watch has reported; None for a deletion."""
        self._objects[ref] = KubeObject(trimmed(raw)) if raw is not None else None

    def put_read(self, ref: TrainingRef, raw: JsonObject) -> None:
        """Take over the answer to a request, unless a watch has reported since it was sent."""
        self._objects.setdefault(ref, KubeObject(trimmed(raw)))

    def clear(self) -> None:
        """Drop all, so that each training is read again."""
        self._objects.clear()


class Cache:
    """All caches of one operator."""

    def __init__(self) -> None:
        self.evaluations = KindCache(SidecarEvaluation, lambda evaluation: evaluation.training_ref)
        self.jobs = KindCache(Job)
        self.pods = KindCache(Pod)
        self.children: dict[str, KindCache[Any]] = {kind: KindCache(KubeObject) for kind in CHILD_KINDS}
        self.children |= {"Job": self.jobs, "Pod": self.pods}
        self.trainings = TrainingCache()

    def child(self, manifest: JsonObject) -> KubeObject | None:
        """Return the child that a manifest describes, as last seen."""
        obj = KubeObject(manifest)
        child: KubeObject | None = self.children[obj.kind].get(obj.key)
        return child

    def followers(self, ref: TrainingRef) -> list[Key]:
        """Return the resources that follow a training."""
        return [evaluation.key for evaluation in self.evaluations.of(ref)]


def trimmed(raw: JsonObject) -> JsonObject:
    """Return the object without what no pass reads: managed fields, pod templates and the specs of pods."""
    metadata = {field: value for field, value in object_at(raw, "metadata").items() if field not in UNREAD_METADATA}
    trimmed_object = {**raw, "metadata": metadata}
    if raw.get("kind") == "Pod":
        trimmed_object.pop("spec", None)
    elif value_at(raw, "spec", "template") is not None:
        trimmed_object["spec"] = {field: value for field, value in raw["spec"].items() if field != "template"}
    return trimmed_object


UNREAD_METADATA = frozenset({"managedFields", "annotations"})
