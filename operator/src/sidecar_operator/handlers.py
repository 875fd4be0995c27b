"""What kopf calls when something in the cluster changes: note it in the store, wake the resource concerned.

`__main__` registers these handlers. They decide nothing and call nothing: reading, judging and writing is for the pass
that they ask for. Only `on.event` handlers are used, so kopf stores no annotation and no finalizer anywhere.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import kopf

from sidecar_operator import kube_objects
from sidecar_operator.cache import Store
from sidecar_operator.kube_objects import Key, Object, TrainingRef


class FollowedKind(NamedTuple):
    """A kind of training whose events wake the resources that follow it."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """Group and version as objects carry them."""
        return f"{self.group}/{self.version}"


FOLLOWED_KINDS = (
    FollowedKind("batch", "v1", "jobs", "Job"),
    FollowedKind("kubeflow.org", "v1", "tfjobs", "TFJob"),
    FollowedKind("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob"),
    FollowedKind("kubeflow.org", "v1", "jaxjobs", "JAXJob"),
    FollowedKind("kubeflow.org", "v1", "mpijobs", "MPIJob"),
    FollowedKind("kubeflow.org", "v1", "xgboostjobs", "XGBoostJob"),
    FollowedKind("kubeflow.org", "v1", "paddlejobs", "PaddleJob"),
    FollowedKind("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob"),
    FollowedKind("jobset.x-k8s.io", "v1alpha2", "jobsets", "JobSet"),
)
"""Kinds that are watched where the cluster has them; any other kind is read from time to time."""


class Handlers:
    """Takes events over into the store."""

    def __init__(self, store: Store, wake: Callable[[Key], None]) -> None:
        self._store = store
        self._wake = wake

    async def evaluation(self, event: Any, **_: Any) -> None:
        """Take over an event of a resource."""
        obj: Object = event["object"]
        cache = self._store.evaluations
        if cache.remove(obj) if event["type"] == "DELETED" else cache.put(obj):
            self._wake(kube_objects.key_of(obj))

    async def pod(self, event: Any, **_: Any) -> None:
        """Take over an event of an evaluator's pod."""
        self._child("Pod", event)

    async def training(self, event: Any, **_: Any) -> None:
        """Take over an event of a training, and of an evaluator's Job where the training kind is Job."""
        obj: Object = event["object"]
        if obj["metadata"].get("labels", {}).get(kube_objects.MANAGED_BY_LABEL) == kube_objects.FIELD_MANAGER:
            self._child("Job", event)
        ref = TrainingRef(obj["apiVersion"], obj["kind"], *kube_objects.key_of(obj))
        followers = self._store.followers(ref)
        if followers:
            self._store.trainings.saw(ref, None if event["type"] == "DELETED" else obj)
        for key in followers:
            self._wake(key)

    def _child(self, kind: str, event: Any) -> None:
        obj: Object = {**event["object"], "kind": kind}
        cache = self._store.children[kind]
        owner = kube_objects.owner_key_of(obj)
        news = cache.remove(obj) if event["type"] == "DELETED" else cache.put(obj)
        if news and owner is not None:
            self._wake(owner)


def register(registry: kopf.OperatorRegistry, handlers: Handlers, kinds: Iterable[FollowedKind]) -> None:
    """Register everything that is watched; `kinds` are the training kinds that the cluster has, Job among them."""
    kopf.on.event(kube_objects.GROUP, kube_objects.VERSION, kube_objects.PLURAL, registry=registry, id="evaluation")(
        handlers.evaluation
    )
    kopf.on.event("", "v1", "pods", registry=registry, id="pod")(handlers.pod)
    for kind in kinds:
        kopf.on.event(*kind[:3], registry=registry, id=kind.plural)(handlers.training)
    kopf.on.login(registry=registry, id="service-account")(kopf.login_with_service_account)
    kopf.on.login(registry=registry, id="kubeconfig")(kopf.login_with_kubeconfig)


def register_probe(registry: kopf.OperatorRegistry, check_health: Callable[[], dict[str, float]]) -> None:
    """Make the liveness endpoint fail when the check raises."""

    def health(**_: Any) -> dict[str, float]:
        return check_health()

    kopf.on.probe(registry=registry, id="health", errors=kopf.ErrorsMode.PERMANENT)(health)


def watching_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: watch what exists at the start, write nothing, filter pods at the API server."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.queueing.idle_timeout = 1  # kopf keeps a task for each object until then
    settings.watching.label_selectors["", "v1", "pods"] = kube_objects.CHILD_SELECTOR
    return settings
