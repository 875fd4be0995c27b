"""What the operator last saw of the cluster: a cache for each kind, filled by watches, lists and its own writes.

`handlers` and `controller` fill it, `reconcile` and `child_objects` read it, so that a pass that changes nothing sends
no request; `metrics` is told of each change of a resource. Of two versions of an object the newer one stays, whatever
their order of arrival; a list replaces everything that is older than itself. Objects are kept trimmed and packed, and
only those that belong to a resource or that one follows.
"""

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from sidecar_operator.kube_objects import Job, JsonObject, Key, KubeObject, Page, Pod
from sidecar_operator.packing import Packer, version_of
from sidecar_operator.resource_view import SidecarEvaluation, TrainingRef
from sidecar_operator.trimming import outlined, trimmed

View = TypeVar("View", bound=KubeObject)

CHILD_KINDS = ("ServiceAccount", "Role", "RoleBinding", "Job", "Pod")
"""Kinds whose objects belong to a resource by label."""


def owner_of(obj: KubeObject) -> Key | None:
    """Return the resource that a child belongs to."""
    return obj.owner_key


def no_index(_: KubeObject) -> None:
    """Return no value: the objects are found by their names alone."""


def nobody(_key: Key, _obj: object) -> None:
    """Ignore a change."""


class KindCache(Generic[View]):
    """Objects of one kind, indexed by a value of each, such as the resource that a Job or a pod belongs to."""

    def __init__(
        self,
        view: Callable[[JsonObject], View],
        index_by: Callable[[View], Hashable | None] = owner_of,
        changed: Callable[[Key, View | None], None] = nobody,
    ) -> None:
        self._view = view
        self._index_by = index_by
        self._changed = changed
        self._packer = Packer()
        self._objects: dict[Key, bytes] = {}
        self._keys: dict[Hashable, tuple[Key, ...]] = {}
        self._listed: dict[str | None, set[Key]] = {}
        self._newest = 0
        self._newest_before_list = 0

    def __iter__(self) -> Iterator[View]:
        return (obj for key in self.all_keys() if (obj := self.get(key)))

    def all_keys(self) -> list[Key]:
        """Return namespace and name of all objects."""
        return list(self._objects)

    def get(self, key: Key) -> View | None:
        """Return the object of this namespace and name."""
        packed = self._objects.get(key)
        return self._view(self._packer.unpack(packed)) if packed is not None else None

    def of(self, index: Hashable) -> list[View]:
        """Return the objects with this value of the index, by name."""
        return [obj for key in self.keys_of(index) if (obj := self.get(key))]

    def indexes(self) -> list[Hashable]:
        """Return the values of the index that objects have."""
        return list(self._keys)

    def keys_of(self, index: Hashable) -> list[Key]:
        """Return namespace and name of the objects with this value of the index, by name."""
        return sorted(self._keys.get(index, ()))

    def put(self, raw: JsonObject) -> bool:
        """Store the object unless the stored version is as new; tell whether it was stored."""
        received = KubeObject(raw)
        if self._version(received.key) >= received.resource_version:
            return False
        self._forget(received.key)
        self._newest = max(self._newest, received.resource_version)
        obj = self._view(trimmed(raw))
        key = Key(sys.intern(obj.namespace), sys.intern(obj.name))
        self._objects[key] = self._packer.pack(obj.raw, obj.resource_version)
        if (index := self._index_by(obj)) is not None:
            self._keys[index] = (*self._keys.get(index, ()), key)
        self._changed(key, obj)
        return True

    def update(self, raw: JsonObject) -> None:
        """Store the newer version of an object that is here, and ignore one that has been removed meanwhile."""
        if self._same(raw) is not None:
            self.put(raw)

    def refresh(self, outdated: View, raw: JsonObject) -> None:
        """Store what a read has answered after `outdated` was stored, be it another object of that name.

        A name that has been removed here meanwhile stays removed. An answer of an earlier version than `outdated` means
        that the API server's database was restored.
        """
        stored = self._version(outdated.key)
        if stored < 0:
            return
        if KubeObject(raw).resource_version < stored == outdated.resource_version:
            self._discard(outdated.key)
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
        self.take_page(Page(list(objects), version, namespace))

    def begin_list(self) -> None:
        """Note that a list is asked for: the API server makes it at no earlier version than those stored by now."""
        self._newest_before_list = self._newest

    def take_page(self, page: Page) -> None:
        """Take over a part of a list; after the last part, drop what is older than the list and not in it.

        A version before one that was known when the list began means that the API server's database was restored: what
        was stored then is no newer than the list, whatever its version.
        """
        if page.is_first:
            self._listed[page.namespace] = set()
            if page.version < self._newest_before_list:
                self._discard_all(page)
                self._newest = page.version
        self._newest = max(self._newest, page.version)
        listed = self._listed[page.namespace]
        for raw in page.objects:
            listed.add(KubeObject(raw).key)
            self.put(raw)
        if page.is_last:
            del self._listed[page.namespace]
            for key in [key for key in self._objects if page.covers(key) and key not in listed]:
                if self._version(key) <= page.version:
                    self._discard(key)

    def _version(self, key: Key) -> int:
        """Return the resourceVersion that is stored, -1 where there is none."""
        packed = self._objects.get(key)
        return version_of(packed) if packed is not None else -1

    def _same(self, raw: JsonObject) -> View | None:
        """Return the stored version of the same object, by name and uid."""
        obj = KubeObject(raw)
        stored = self.get(obj.key)
        return stored if stored is not None and stored.uid == obj.uid else None

    def _discard_all(self, page: Page) -> None:
        for key in self.all_keys():
            if page.covers(key):
                self._discard(key)

    def _discard(self, key: Key) -> None:
        self._forget(key)
        self._changed(key, None)

    def _forget(self, key: Key) -> None:
        stored = self.get(key)
        if stored is None:
            return
        del self._objects[key]
        index = self._index_by(stored)
        if rest := tuple(other for other in self._keys.get(index, ()) if other != key):
            self._keys[index] = rest
        else:
            self._keys.pop(index, None)


class WatchScope(NamedTuple):
    """What one watch of trainings covers: a kind, in one namespace or, where that is None, in all."""

    api_version: str
    kind: str
    namespace: str | None

    def covers(self, ref: TrainingRef) -> bool:
        """Tell whether the watch reports on this training."""
        return (self.api_version, self.kind) == (ref.api_version, ref.kind) and self.namespace in (None, ref.namespace)


class TrainingCache:
    """Training objects that resources follow, and those that do not exist, of kinds that are watched."""

    def __init__(self) -> None:
        self._packer = Packer()
        self._objects: dict[TrainingRef, bytes | None] = {}
        self._scopes: set[WatchScope] = set()

    def __iter__(self) -> Iterator[TrainingRef]:
        return iter(list(self._objects))

    def __contains__(self, ref: TrainingRef) -> bool:
        return ref in self._objects

    def is_watched(self, ref: TrainingRef) -> bool:
        """Tell whether a watch reports each change of this training."""
        kind = ref.api_version, ref.kind
        return WatchScope(*kind, None) in self._scopes or WatchScope(*kind, ref.namespace) in self._scopes

    def get(self, ref: TrainingRef) -> KubeObject | None:
        """Return the training, None where it does not exist."""
        packed = self._objects[ref]
        return KubeObject(self._packer.unpack(packed)) if packed is not None else None

    def begin_watch(self, scope: WatchScope) -> None:
        """Take over what a watch reports from now on, and drop what was known before."""
        self.end_watch(scope)
        self._scopes.add(scope)

    def end_watch(self, scope: WatchScope) -> None:
        """Drop what a watch has reported: nobody reports its changes any more."""
        self._scopes.discard(scope)
        for ref in self:
            if scope.covers(ref):
                self.forget(ref)

    def put_watched(self, ref: TrainingRef, raw: JsonObject | None) -> None:
        """Take over what a watch has reported; None for a deletion."""
        self._objects[ref] = self._pack(raw) if raw is not None else None

    def put_read(self, ref: TrainingRef, raw: JsonObject | None) -> None:
        """Take over the answer to a request, unless a watch has reported since it was sent, or none would."""
        if self.is_watched(ref) and ref not in self._objects:
            self.put_watched(ref, raw)

    def forget(self, ref: TrainingRef) -> None:
        """Drop a training that nothing follows."""
        self._objects.pop(ref, None)

    def _pack(self, raw: JsonObject) -> bytes:
        return self._packer.pack(outlined(raw), KubeObject(raw).resource_version)


class Cache:
    """All caches of one operator; `evaluation_changed` is called for each change of a resource, None for its end."""

    def __init__(self, evaluation_changed: Callable[[Key, SidecarEvaluation | None], None] = nobody) -> None:
        self.evaluations = KindCache(
            SidecarEvaluation, lambda evaluation: evaluation.training_ref, changed=evaluation_changed
        )
        self.jobs = KindCache(Job)
        self.pods = KindCache(Pod)
        self.children: dict[str, KindCache[Any]] = {kind: KindCache(KubeObject, no_index) for kind in CHILD_KINDS}
        self.children |= {"Job": self.jobs, "Pod": self.pods}
        self.trainings = TrainingCache()

    def child(self, manifest: JsonObject) -> KubeObject | None:
        """Return the child that a manifest describes, as last seen."""
        obj = KubeObject(manifest)
        child: KubeObject | None = self.children[obj.kind].get(obj.key)
        return child

    def refs_in(self, scope: WatchScope) -> list[TrainingRef]:
        """Return the trainings within a watch that resources follow."""
        return [ref for ref in self.evaluations.indexes() if isinstance(ref, TrainingRef) and scope.covers(ref)]

    def forget_unfollowed_trainings(self) -> None:
        """Drop the trainings that no resource follows any more."""
        for ref in self.trainings:
            if not self.followers(ref):
                self.trainings.forget(ref)

    def followers(self, ref: TrainingRef) -> list[Key]:
        """Return the resources that follow a training."""
        return self.evaluations.keys_of(ref)
