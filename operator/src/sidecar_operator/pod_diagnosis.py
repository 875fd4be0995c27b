"""What the state of an evaluator's pod means for its user: what keeps it from running, or how it failed.

`verdict` calls it with pods and with the Warning events of one. Pure. The checks are an ordered tuple, the first that
finds something decides. Each message says what is wrong, where, and what to do about it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar_operator import names
from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import ContainerStatus, Pod, Terminated, Waiting, WarningEvent


@dataclass(frozen=True)
class Trouble:
    """What keeps a pod from running."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Failure:
    """How the evaluator's container of a pod ended."""

    exit_code: int | None
    """None where the container never ran or its end is unknown."""
    message: str

    def __str__(self) -> str:
        return self.message if self.exit_code is None else f"exit code {self.exit_code}: {self.message}"


Check = Callable[[Pod], Trouble | None]

_IMAGE_WAITS = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"}
_CONFIGURATION_WAITS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_VOLUME_WARNINGS = {"FailedMount", "FailedAttachVolume", "FailedMapVolume"}
_MISSING_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_MISSING_CONFIG_MAP = re.compile(r'configmap "([^"]+)" not found')
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def has_failed(pod: Pod) -> bool:
    """Tell whether the pod failed by itself; one that was preempted, evicted or deleted did not."""
    return pod.phase == "Failed" and not pod.has_true("DisruptionTarget") and not pod.is_being_deleted


def is_being_created(pod: Pod) -> bool:
    """Tell whether the pod has a node and no container of it has started, so that only its events can say why."""
    waiting = [state.reason for _, state in _waiting(pod)]
    is_creating = all(reason in {"ContainerCreating", "PodInitializing"} for reason in waiting)
    return pod.has_true("PodScheduled") and not pod.is_over and bool(waiting) and is_creating


def newest(pods: Iterable[Pod]) -> Pod | None:
    """Return the pod that was created last."""
    return max(pods, key=lambda pod: pod.created_at or _EARLIEST, default=None)


def newest_live(pods: Iterable[Pod]) -> Pod | None:
    """Return the pod that was created last among those that still run or may run."""
    return newest(pod for pod in pods if not pod.is_over)


def trouble_of(pod: Pod, warnings: Sequence[WarningEvent] = ()) -> Trouble | None:
    """Return what keeps the pod from running, None where neither its status nor a warning says so."""
    troubles = (check(pod) for check in CHECKS)
    return next((trouble for trouble in troubles if trouble), None) or _creation_trouble(pod, warnings)


def failure_of(pod: Pod) -> Failure:
    """Return how the evaluator's container ended, with the message that it left."""
    for container in pod.containers:
        if container.name == names.CONTAINER and container.terminated:
            return Failure(container.terminated.exit_code, _last_message(container.terminated))
    return Failure(None, pod.message or pod.reason or "the pod failed without a message")


def _last_message(end: Terminated) -> str:
    """Return the termination message: all that the evaluator wrote into it, but only the last line of a log."""
    message = end.message.strip()
    if end.exit_code != names.CONFIGURATION_ERROR_EXIT_CODE:
        message = message.rpartition("\n")[2].strip()
    return message or end.reason or "no message"


def _waiting(pod: Pod) -> Iterator[tuple[ContainerStatus, Waiting]]:
    """Yield each container that waits, and why it does."""
    for container in pod.containers:
        if waiting := container.waiting:
            yield container, waiting


def _missing_claim(pod: Pod) -> Trouble | None:
    missing = _MISSING_CLAIM.search(_unscheduled_message(pod))
    if missing is None:
        return None
    return Trouble(
        Reason.CLAIM_NOT_FOUND,
        f"PersistentVolumeClaim {missing[1]} does not exist in namespace {pod.namespace}: "
        "create it, and the evaluator starts",
    )


def _unbound_claim(pod: Pod) -> Trouble | None:
    message = _unscheduled_message(pod)
    if "unbound immediate PersistentVolumeClaims" not in message:
        return None
    return Trouble(
        Reason.CLAIM_NOT_BOUND,
        f"a PersistentVolumeClaim of pod {pod.name} is not bound to a volume: {message}; "
        f"find the cause with `kubectl describe pvc -n {pod.namespace}`",
    )


def _unschedulable(pod: Pod) -> Trouble | None:
    message = _unscheduled_message(pod)
    if not message:
        return None
    return Trouble(
        Reason.UNSCHEDULABLE,
        f"no node can run pod {pod.name}: {message}; free or add such a node, or change spec.evaluator.resources, "
        "nodeSelector or tolerations",
    )


def _unscheduled_message(pod: Pod) -> str:
    condition = pod.condition("PodScheduled")
    is_unschedulable = condition and condition.status == "False" and condition.reason == "Unschedulable"
    return condition.message if condition and is_unschedulable else ""


def _invalid_image(pod: Pod) -> Trouble | None:
    for container, waiting in _waiting(pod):
        if waiting.reason == "InvalidImageName":
            return Trouble(
                Reason.IMAGE_NAME_INVALID,
                f"container {container.name}: {container.image} is not a valid image name; "
                "correct spec.evaluator.image",
            )
    return None


def _unpulled_image(pod: Pod) -> Trouble | None:
    for container, waiting in _waiting(pod):
        if waiting.reason in _IMAGE_WAITS:
            error = _pull_error(waiting.message)
            return Trouble(
                Reason.IMAGE_NOT_PULLED,
                f"container {container.name}: image {container.image} cannot be pulled: {error}; "
                "correct spec.evaluator.image, or set spec.evaluator.imagePullSecrets",
            )
    return None


def _pull_error(message: str) -> str:
    """Return the error alone: the kubelet repeats it inside its own back-off message."""
    _, _, error = message.rpartition("ErrImagePull: ")
    return error.strip() or "no message"


def _configuration(pod: Pod) -> Trouble | None:
    for container, waiting in _waiting(pod):
        if waiting.reason in _CONFIGURATION_WAITS:
            return Trouble(
                Reason.CONTAINER_CONFIGURATION,
                f"container {container.name} of pod {pod.name} cannot start: {waiting.message or 'no message'}; "
                "correct spec.evaluator.image or the field of spec.evaluator that this names",
            )
    return None


CHECKS: tuple[Check, ...] = (
    _missing_claim,
    _unbound_claim,
    _unschedulable,
    _invalid_image,
    _unpulled_image,
    _configuration,
)
"""What is looked for in a pod's own status, in this order."""


def _creation_trouble(pod: Pod, warnings: Sequence[WarningEvent]) -> Trouble | None:
    """Return what the events of a pod that is being created report, the latest first."""
    troubles = (_warning_trouble(pod, warning) for warning in reversed(warnings))
    return next((trouble for trouble in troubles if trouble), None)


def _warning_trouble(pod: Pod, warning: WarningEvent) -> Trouble | None:
    if warning.reason in _VOLUME_WARNINGS:
        return _missing_code(pod, warning) or Trouble(
            Reason.VOLUME_NOT_MOUNTED,
            f"a volume of pod {pod.name} cannot be mounted: {warning.message}; check that the claim or bucket exists "
            "and that its CSI driver runs on the node",
        )
    if warning.reason == "FailedCreatePodSandBox":
        return Trouble(
            Reason.SANDBOX_NOT_CREATED,
            f"the node cannot start pod {pod.name}: {warning.message}; check the node's container runtime and network "
            "plugin",
        )
    return None


def _missing_code(pod: Pod, warning: WarningEvent) -> Trouble | None:
    missing = _MISSING_CONFIG_MAP.search(warning.message)
    if missing is None:
        return None
    return Trouble(
        Reason.CODE_NOT_FOUND,
        f"ConfigMap {missing[1]}, named by spec.evaluator.code, does not exist in namespace {pod.namespace}: "
        "create it, and the evaluator starts",
    )
