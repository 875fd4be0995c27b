"""A cluster in memory with one resource, and the reconciler that serves it: what tests of whole passes start from."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sidecar_operator import names
from sidecar_operator.cache import Cache, WatchScope
from sidecar_operator.kube_objects import JsonObject, KubeObject
from sidecar_operator.reconcile import Reconciler
from sidecar_operator.rollover import Rollover
from unit.operator.support.fake_kube_client import FakeKubeClient
from unit.operator.support.samples import KEY, condition

TRAINING_SCOPE = WatchScope("kubeflow.org/v1", "TFJob", None)
READY_POD: JsonObject = {"phase": "Running", "conditions": [condition("Ready")]}
"""Status of a pod that runs and is ready."""


@dataclass
class World:
    """A cluster with one resource, and the reconciler that serves it."""

    client: FakeKubeClient = field(default_factory=FakeKubeClient)
    cache: Cache = field(default_factory=Cache)
    watched: bool = True
    """Whether the kind of the training is watched."""
    image: str = "img:1"
    """The operator's default image."""
    rollovers: int = 0
    now: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __post_init__(self) -> None:
        if self.watched:
            self.forget_trainings()

    def forget_trainings(self) -> None:
        """Let trainings be read again."""
        self.cache.trainings.begin_watch(TRAINING_SCOPE)

    async def turn(self, failures: int = 0) -> float | None:
        """Deliver what has happened, and make a pass."""
        self.client.watch(self.cache)
        self.client.calls.clear()
        rollover = Rollover(self.cache, self.image, self.rollovers, now=lambda: self.now)
        await rollover.search()
        rollover.look()
        reconciler = Reconciler(
            self.client,
            self.cache,
            self.image,
            now=lambda: self.now,
            is_rollover_due=rollover.is_due,
        )
        return await reconciler(KEY, failures)

    def change(self, **spec: Any) -> None:
        """Change the spec as a user does."""
        stored = self.client.only(names.KIND)
        generation = stored["metadata"]["generation"] + 1
        changed = {**stored, "metadata": {**stored["metadata"], "generation": generation}}
        self.client.put({**changed, "spec": stored["spec"] | spec})

    def annotate(self, restarted_at: str) -> None:
        """Ask for another run as a user does; this changes no generation."""
        stored = self.client.only(names.KIND)
        annotations = {names.RESTARTED_AT_ANNOTATION: restarted_at}
        self.client.put({**stored, "metadata": {**stored["metadata"], "annotations": annotations}})

    def job_spec(self, **spec: Any) -> None:
        """Change the Job as another client does."""
        stored = self.client.only("Job")
        self.client.put({**stored, "spec": stored["spec"] | spec})

    def job_status(self, **status: Any) -> None:
        """Report on the Job as the Job controller does."""
        self.client.put({**self.client.only("Job"), "status": status})

    @property
    def status(self) -> JsonObject:
        """The stored status of the resource."""
        status: JsonObject = self.client.only(names.KIND)["status"]
        return status

    def reason(self, condition_type: str = "Ready") -> str:
        """Return the reason of a stored condition, `absent` where there is none."""
        stored = KubeObject(self.client.only(names.KIND)).condition(condition_type)
        return stored.reason if stored else "absent"
