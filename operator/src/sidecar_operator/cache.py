"""What the operator last saw of the cluster: a cache for each kind, fed by watches, lists and its own writes.

`handlers` and `controller` fill it, `reconcile` and `metrics` read it, so that a pass that changes nothing asks the
API server nothing. Of two versions of an object the newer one stays, whatever their order of arrival; a list replaces
everything that is older than itself. Only what a pass needs is kept of each object.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from sidecar_operator import kube_objects
from sidecar_operator.kube_objects import Key, Object, TrainingRef

Group = Callable[[Object], Key | None]

CHILD_KINDS = ("ServiceAccount", "Role", "RoleBinding", "Job", "Pod")
"""Kinds whose objects belong to a resource by label."""


class Cache:
    """Objects of one kind, grouped by the resource that they belong to."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._objects: dict[Key, Object] = {}
        self._members: defaultdict[Key, set[Key]] = defaultdict(set)

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def get(self, key: Key) -> Object | None:
        """Return the object of this namespace and name."""
        return self._objects.get(key)

    def of(self, owner: Key) -> list[Object]:
        """Return the objects that belong to a resource, by name."""
        return [self._objects[key] for key in sorted(self._members.get(owner, ()))]

    def put(self, obj: Object) -> bool:
        """Keep the object unless a newer version is known; tell whether it was news."""
        key = kube_objects.key_of(obj)
        known = self._objects.get(key)
        if known is not None and version_of(known) >= version_of(obj):
            return False
        self._discard(key)
        self._objects[key] = trimmed(obj)
        if (owner := self._group(obj)) is not None:
            self._members[owner].add(key)
        return True

    def update(self, obj: Object) -> None:
        """Keep the newer version of an object that is known, and ignore one that has been removed meanwhile."""
        known = self._objects.get(kube_objects.key_of(obj))
        if known is not None and kube_objects.uid_of(known) == kube_objects.uid_of(obj):
            self.put(obj)

    def remove(self, obj: Object) -> bool:
        """Forget a deleted object, unless another one has taken its name; tell whether it was known."""
        key = kube_objects.key_of(obj)
        known = self._objects.get(key)
        if known is None or kube_objects.uid_of(known) != kube_objects.uid_of(obj):
            return False
        self._discard(key)
        return True

    def replace(self, objects: Iterable[Object], version: int, namespace: str | None = None) -> None:
        """Take over a list that the API server made at this resourceVersion, of one namespace or of all."""
        listed = {kube_objects.key_of(obj): obj for obj in objects}
        for key, known in list(self._objects.items()):
            is_covered = namespace in (None, key.namespace) and version_of(known) <= version
            if is_covered and key not in listed:
                self._discard(key)
        for obj in listed.values():
            self.put(obj)

    def _discard(self, key: Key) -> None:
        known = self._objects.pop(key, None)
        owner = self._group(known) if known else None
        if owner is not None:
            self._members[owner].discard(key)
            if not self._members[owner]:
                del self._members[owner]


class Store:
    """All caches of one operator."""

    def __init__(self) -> None:
        self.evaluations = Cache(kube_objects.key_of)
        self.children = {kind: Cache(kube_objects.owner_key_of) for kind in CHILD_KINDS}
        self.trainings = Trainings()

    def child(self, manifest: Object) -> Object | None:
        """Return the child that a manifest describes, as last seen."""
        return self.children[manifest["kind"]].get(kube_objects.key_of(manifest))

    def followers(self, ref: TrainingRef) -> list[Key]:
        """Return the resources that follow a training."""
        return [kube_objects.key_of(found) for found in self.evaluations if kube_objects.training_ref_of(found) == ref]


class Trainings:
    """Training objects that are followed, and those that are known to be gone."""

    def __init__(self) -> None:
        self._found: dict[TrainingRef, Object | None] = {}

    def __iter__(self) -> Iterator[TrainingRef]:
        return iter(self._found)

    def __contains__(self, ref: TrainingRef) -> bool:
        return ref in self._found

    def get(self, ref: TrainingRef) -> Object | None:
        """Return the training, None where it is gone."""
        return self._found[ref]

    def saw(self, ref: TrainingRef, training: Object | None) -> None:
        """Take over what a watch has said; None for a deletion."""
        self._found[ref] = training and trimmed(training)

    def looked_up(self, ref: TrainingRef, training: Object) -> None:
        """Take over what a request has returned, unless a watch has spoken since it was sent."""
        self._found.setdefault(ref, trimmed(training))

    def clear(self) -> None:
        """Forget all, so that each training is looked up again."""
        self._found.clear()


def version_of(obj: Object) -> int:
    """Return the resourceVersion, which of two versions of one object is greater for the newer."""
    return int(obj["metadata"].get("resourceVersion", 0))


def trimmed(obj: Object) -> Object:
    """Return the object without what no pass reads: managed fields, pod templates and the specs of pods."""
    metadata = {name: value for name, value in obj["metadata"].items() if name not in UNREAD_METADATA}
    kept = {**obj, "metadata": metadata}
    if obj.get("kind") == "Pod":
        kept.pop("spec", None)
    elif "template" in obj.get("spec", {}):
        kept["spec"] = {name: value for name, value in obj["spec"].items() if name != "template"}
    return kept


UNREAD_METADATA = frozenset({"managedFields", "annotations"})
