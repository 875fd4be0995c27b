"""What the cluster says of a training's pods that do not run: read seldom, and few for all trainings together.

`reconcile` asks in each pass over a resource whose training waits. In between it gets what was read last. Only pods
with the label of the training are read, and nothing here decides: after a restart they are read again.
"""

from typing import NamedTuple, Protocol

from sidecar_operator import pod_diagnosis, training_pods
from sidecar_operator.kube_objects import JsonObject, KubeObject, Pod, WarningEvent
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.seldom_reads import Clock, SeldomReads

NOT_READY = "it runs, but its readiness probes say that it is not Ready"


class PodWords(NamedTuple):
    """What the cluster says of a pod."""

    pod: str
    words: str


class PodClient(Protocol):
    """The requests that are needed; `kube_client.KubeClient` has them."""

    async def list_live_pods(self, namespace: str, selector: str) -> list[JsonObject]:
        """Read pods with these labels that have not ended."""

    async def list_warnings(self, obj: KubeObject) -> list[WarningEvent]:
        """Read the Warning events about an object."""


class PendingPods:
    """Reads why the pods of trainings do not run."""

    def __init__(self, client: PodClient, clock: Clock) -> None:
        self._client = client
        self._readings = SeldomReads[PodWords](self._read, clock)

    async def of(self, evaluation: SidecarEvaluation, age: float) -> list[PodWords]:
        """Return what was read last of the training of a resource of this age in seconds."""
        return await self._readings.about(evaluation, age)

    def seconds_until_due(self, evaluation: SidecarEvaluation) -> float:
        """Return after how many seconds to ask again."""
        return self._readings.seconds_until_due(evaluation)

    async def _read(self, obj: KubeObject) -> list[PodWords]:
        ref = SidecarEvaluation(obj.raw).training_ref
        label = training_pods.label_of(ref) if ref else None
        if label is None:
            return []
        pods = [Pod(raw) for raw in await self._client.list_live_pods(obj.namespace, str(label))]
        pod = pod_diagnosis.newest(pod for pod in pods if pod.phase == "Pending") or pod_diagnosis.newest(pods)
        if pod is None:
            return []
        if pod.phase == "Running" and not pod.is_ready:
            return [PodWords(pod.name, NOT_READY)]
        warnings = await self._client.list_warnings(pod) if pod_diagnosis.is_being_created(pod) else []
        words = pod_diagnosis.words_of(pod, warnings)
        return [PodWords(pod.name, words)] if words else []
