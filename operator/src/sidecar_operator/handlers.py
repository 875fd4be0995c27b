"""Handlers of watch events: each puts the object into the cache and wakes the resource concerned.

`__main__` registers them with kopf. They decide nothing and send no request: that is left to the pass that they ask
for. Only `on.event` handlers are used, so kopf stores no annotation and no finalizer anywhere.
"""

from collections.abc import Callable, Mapping
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from sidecar_operator import names
from sidecar_operator.cache import Cache
from sidecar_operator.kube_client import PAGE
from sidecar_operator.kube_objects import JsonObject, Key, KubeObject, text_at

Health = Mapping[str, float | str]
"""What the probe answers."""


RIGHTS = (
    ("", "v1", "serviceaccounts"),
    ("rbac.authorization.k8s.io", "v1", "roles"),
    ("rbac.authorization.k8s.io", "v1", "rolebindings"),
)
"""What lets an evaluator write its results; only objects with the label of children are watched."""


class Handlers:
    """Puts watched objects into the cache and wakes resources."""

    def __init__(self, cache: Cache, wake: Callable[[Key], None]) -> None:
        self._cache = cache
        self._wake = wake

    async def on_evaluation(self, event: Any, **_: Any) -> None:
        """Take over an event of a resource."""
        raw: JsonObject = event["object"]
        evaluations = self._cache.evaluations
        if evaluations.remove(raw) if event["type"] == "DELETED" else evaluations.put(raw):
            self._wake(KubeObject(raw).key)

    async def on_right(self, event: Any, **_: Any) -> None:
        """Take over an event of an evaluator's ServiceAccount, Role or RoleBinding, so that its loss is mended."""
        self._on_child(text_at(event["object"], "kind"), event)

    async def on_pod(self, event: Any, **_: Any) -> None:
        """Take over an event of an evaluator's pod."""
        self._on_child("Pod", event)

    async def on_job(self, event: Any, **_: Any) -> None:
        """Take over an event of an evaluator's Job."""
        self._on_child("Job", event)

    def _on_child(self, kind: str, event: Any) -> None:
        raw: JsonObject = {**event["object"], "kind": kind}
        children, owner = self._cache.children[kind], KubeObject(raw).owner_key
        has_changed = children.remove(raw) if event["type"] == "DELETED" else children.put(raw)
        if has_changed and owner is not None:
            self._wake(owner)


def register(registry: kopf.OperatorRegistry, handlers: Handlers) -> None:
    """Register everything that is watched by kopf: kinds that every cluster with this operator has."""
    kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry, id="evaluation")(handlers.on_evaluation)
    kopf.on.event("", "v1", "pods", registry=registry, id="pod")(handlers.on_pod)
    kopf.on.event("batch", "v1", "jobs", registry=registry, id="job")(handlers.on_job)
    for right in RIGHTS:
        kopf.on.event(*right, registry=registry, id=right[2])(handlers.on_right)
    kopf.on.login(registry=registry, id="service-account")(kopf.login_with_service_account)
    kopf.on.login(registry=registry, id="kubeconfig")(kopf.login_with_kubeconfig)


def register_probe(registry: kopf.OperatorRegistry, check_health: Callable[[], Health]) -> None:
    """Make the liveness endpoint fail when the check raises."""

    def health(**_: Any) -> Health:
        return check_health()

    kopf.on.probe(registry=registry, id="health", errors=kopf.ErrorsMode.PERMANENT)(health)


def register_cleanup(registry: kopf.OperatorRegistry, stop: Callable[[], None]) -> None:
    """Call `stop` when kopf ends: it waits for every task that was started after itself."""

    async def clean_up(**_: Any) -> None:
        stop()

    kopf.on.cleanup(registry=registry, id="trainings")(clean_up)


def watching_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: watch what exists at the start, write nothing, filter children at the API server."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.chunk_size = PAGE
    settings.persistence.diffbase_storage = NoDiffs()
    settings.queueing.idle_timeout = 0.05  # kopf keeps a task and the last version of each object until then
    for selected in (("", "v1", "pods"), ("batch", "v1", "jobs"), *RIGHTS):
        settings.watching.label_selectors[selected] = names.CHILD_SELECTOR
    return settings


class NoDiffs(kopf.DiffBaseStorage):
    """What kopf compares an object with to find out what has changed: nothing, because only handlers of changes ask.

    By default it copies every object of every event, which takes longer than all else that is done with it.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return nothing of the object."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Return nothing of what was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing."""


class NoMemories(ResourceMemories):
    """What kopf remembers of each object it has seen: nothing, because only handlers with state need it.

    By default that is some kilobytes for every object of every watched kind, until the object is deleted.
    """

    async def recall(self, *args: Any, **options: Any) -> ResourceMemory:
        """Return a memory for one event."""
        return await super().recall(*args, **{**options, "ephemeral": True})
