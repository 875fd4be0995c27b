"""What the state of an evaluator's pod says, in words for its user: ready, starting, in trouble, or failed.

`status` calls it with a pod and with the Warning events of that pod. Pure. The checks are an ordered tuple, the
first that finds something wins; each message ends in what to do.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sidecar_operator import kube_objects
from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Object


@dataclass(frozen=True)
class Trouble:
    """What keeps a pod from running."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Warned:
    """A Warning event that the cluster has published about an object."""

    reason: str
    message: str


@dataclass(frozen=True)
class Failure:
    """How the evaluator's container of a pod ended."""

    exit_code: int | None
    """None where the container never ran or its end is unknown."""
    message: str

    def __str__(self) -> str:
        return self.message if self.exit_code is None else f"exit code {self.exit_code}: {self.message}"


Check = Callable[[Object], Trouble | None]

_IMAGE_WAITS = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"}
_CONFIGURATION_WAITS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_MISSING_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_MISSING_CONFIG_MAP = re.compile(r'configmap "([^"]+)" not found')


def is_ready(pod: Object) -> bool:
    """Tell whether the pod passes its readiness probe."""
    return kube_objects.is_true(pod, "Ready") and not kube_objects.is_being_deleted(pod)


def has_succeeded(pod: Object) -> bool:
    """Tell whether the pod has done its work; its Job says so a moment later."""
    return bool(pod.get("status", {}).get("phase") == "Succeeded")


def is_over(pod: Object) -> bool:
    """Tell whether no process of the pod runs any more."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def has_begun_before(pod: Object, moment: str) -> bool:
    """Tell whether the pod has a node since before a moment (RFC 3339)."""
    begun, ended = kube_objects.time_of(pod.get("status", {}).get("startTime")), kube_objects.time_of(moment)
    return begun is not None and ended is not None and begun <= ended


def has_failed(pod: Object) -> bool:
    """Tell whether the pod failed by its own doing; one that was preempted, evicted or deleted did not."""
    from_outside = kube_objects.is_true(pod, "DisruptionTarget") or kube_objects.is_being_deleted(pod)
    return pod.get("status", {}).get("phase") == "Failed" and not from_outside


def is_being_created(pod: Object) -> bool:
    """Tell whether the pod has a node and no container of it has begun, so that only its events can tell why."""
    waits = [waiting.get("reason", "") for waiting in _waiting(pod)]
    creating = all(reason in {"ContainerCreating", "PodInitializing"} for reason in waits)
    return kube_objects.is_true(pod, "PodScheduled") and not is_over(pod) and bool(waits) and creating


def newest(pods: Sequence[Object]) -> Object | None:
    """Return the pod that was created last."""
    return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)


def trouble_of(pod: Object, warnings: Sequence[Warned] = ()) -> Trouble | None:
    """Return what keeps the pod from running, None where nothing is known to."""
    found = (check(pod) for check in CHECKS)
    return next((trouble for trouble in found if trouble), None) or mount_trouble(warnings)


def mount_trouble(warnings: Sequence[Warned]) -> Trouble | None:
    """Return what the events of a pod that is being created complain of, the latest first."""
    for warned in reversed(warnings):
        if trouble := _warned_trouble(warned):
            return trouble
    return None


def failure_of(pod: Object) -> Failure:
    """Return how the evaluator's container ended, with its own last words where it left any."""
    status = pod.get("status", {})
    for container in status.get("containerStatuses", []):
        if container["name"] == kube_objects.CONTAINER and "terminated" in container.get("state", {}):
            ended = container["state"]["terminated"]
            return Failure(ended.get("exitCode"), _last_words(ended))
    return Failure(None, status.get("message") or status.get("reason") or "the pod failed without a message")


def _last_words(ended: Object) -> str:
    """Return what the evaluator left: its own message whole, of the end of its log only the last line."""
    message = str(ended.get("message", "")).strip()
    if ended.get("exitCode") != kube_objects.CONFIGURATION_ERROR_EXIT_CODE:
        message = message.rpartition("\n")[2].strip()
    return message or str(ended.get("reason") or "no message")


def _waiting(pod: Object) -> Iterator[Object]:
    """Yield the waiting state of each container that waits, with the container's image."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        if waiting := container.get("state", {}).get("waiting"):
            yield {"image": container.get("image", ""), **waiting}


def _missing_claim(pod: Object) -> Trouble | None:
    message = _unscheduled_message(pod)
    if found := _MISSING_CLAIM.search(message):
        namespace = pod["metadata"]["namespace"]
        return Trouble(
            Reason.CLAIM_NOT_FOUND,
            f"PersistentVolumeClaim {found[1]} does not exist in namespace {namespace}: create it, "
            "and the evaluator starts",
        )
    return None


def _unbound_claim(pod: Object) -> Trouble | None:
    message = _unscheduled_message(pod)
    if "unbound immediate PersistentVolumeClaims" in message:
        return Trouble(
            Reason.CLAIM_NOT_BOUND,
            f"a PersistentVolumeClaim of the evaluator is not bound to a volume: {message}; "
            "look at it with `kubectl describe pvc`",
        )
    return None


def _unschedulable(pod: Object) -> Trouble | None:
    message = _unscheduled_message(pod)
    if not message:
        return None
    return Trouble(
        Reason.UNSCHEDULABLE,
        f"no node can take the evaluator: {message} (see spec.evaluator.resources, nodeSelector and tolerations)",
    )


def _unscheduled_message(pod: Object) -> str:
    condition = kube_objects.find_condition(pod, "PodScheduled") or {}
    refused = condition.get("status") == "False" and condition.get("reason") == "Unschedulable"
    return str(condition.get("message", "")) if refused else ""


def _image(pod: Object) -> Trouble | None:
    for waiting in _waiting(pod):
        image, said = waiting["image"], waiting.get("message", "")
        if waiting.get("reason") == "InvalidImageName":
            return Trouble(Reason.IMAGE_NAME_INVALID, f"{image} is no name of an image: correct spec.evaluator.image")
        if waiting.get("reason") in _IMAGE_WAITS:
            return Trouble(
                Reason.IMAGE_NOT_PULLED,
                f"image {image} cannot be pulled: {_pull_error(said)}; correct spec.evaluator.image, "
                "or give spec.evaluator.imagePullSecrets",
            )
    return None


def _pull_error(message: str) -> str:
    """Return the error alone: the kubelet repeats it inside its own back-off message."""
    _, _, error = message.rpartition("ErrImagePull: ")
    return error.strip() or "no message"


def _configuration(pod: Object) -> Trouble | None:
    for waiting in _waiting(pod):
        if waiting.get("reason") in _CONFIGURATION_WAITS:
            said = waiting.get("message", "no message")
            return Trouble(Reason.CONTAINER_CONFIGURATION, f"the evaluator's container cannot start: {said}")
    return None


def _warned_trouble(warned: Warned) -> Trouble | None:
    if warned.reason in {"FailedMount", "FailedAttachVolume", "FailedMapVolume"}:
        if found := _MISSING_CONFIG_MAP.search(warned.message):
            return Trouble(
                Reason.CODE_NOT_FOUND,
                f"ConfigMap {found[1]}, named by spec.evaluator.code, does not exist: create it, "
                "and the evaluator starts",
            )
        return Trouble(Reason.VOLUME_NOT_MOUNTED, f"a volume of the evaluator cannot be mounted: {warned.message}")
    if warned.reason == "FailedCreatePodSandBox":
        return Trouble(Reason.SANDBOX_NOT_CREATED, f"the node cannot start the pod: {warned.message}")
    return None


CHECKS: tuple[Check, ...] = (_missing_claim, _unbound_claim, _unschedulable, _image, _configuration)
"""What is looked for in a pod's own status, in this order."""
