"""What the state of an evaluator's pod means for its user: what keeps it from running, or how it failed.

`verdict` calls it with pods and with the Warning events of one. Pure. The checks are an ordered tuple, the first that
finds something decides. Each message says what is wrong, where, and what to do about it. What the cluster did to a pod
stands in the pod itself and is the cause, whatever its containers say afterwards: a container of a pod that was evicted
"could not be located" a second later.
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
OUT_OF_MEMORY = "OOMKilled"
"""Reason of a container's end: it, or its node, had no memory left for it."""
LOST_CONTAINER = "ContainerStatusUnknown"
"""Reason of a container's end that its kubelet has not seen."""
KILLED_EXIT_CODE = 137
_OUT_OF_MEMORY_ADVICE = (
    "OOMKilled, it used more memory than it may: raise spec.evaluator.resources.limits.memory, or use smaller batches "
    "and keep no data in memory (spec.evaluator.performance.dataInMemory)"
)
_KILLED_ADVICE = (
    "it was killed, as the liveness probe does after a minute without progress, or a node without memory; see the "
    "events of the pod"
)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def has_failed(pod: Pod) -> bool:
    """Tell whether the pod failed by itself; one that was preempted, evicted or deleted did not."""
    if is_disrupted(pod) or pod.is_being_deleted or has_ended_well(pod):
        return False
    return pod.phase == "Failed" or is_failure_held_open(pod)


def has_ended_well(pod: Pod) -> bool:
    """Tell whether the evaluator has ended well although the pod has not: another container goes on, or has failed."""
    has_not = pod.is_held_open or pod.phase == "Failed"
    return has_not and pod.evaluator_end is not None and pod.evaluator_end.exit_code == 0


def is_failure_held_open(pod: Pod) -> bool:
    """Tell whether the evaluator has failed although the pod goes on."""
    return pod.is_held_open and pod.evaluator_end is not None and pod.evaluator_end.exit_code != 0


def is_disrupted(pod: Pod) -> bool:
    """Tell whether the cluster ended the pod for reasons of its own, such as a node without memory or for updates."""
    return pod.has_true("DisruptionTarget")


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


def words_of(pod: Pod, warnings: Sequence[WarningEvent] = ()) -> str:
    """Return what the cluster itself says of a pod that does not run, empty where it says nothing."""
    waits = (f"{waiting.reason}: {waiting.message}" for _, waiting in _waiting(pod) if waiting.message)
    blocking = _VOLUME_WARNINGS | {"FailedCreatePodSandBox"}
    published = (warning.message for warning in reversed(warnings) if warning.reason in blocking)
    return _unscheduled_message(pod) or next(waits, "") or next(published, "")


def failure_of(pod: Pod) -> Failure:
    """Return how the evaluator's container ended, with the message that it left."""
    if pod.reason:
        return Failure(None, _ended_by_cluster(pod))
    end = next((container.terminated for container in pod.containers if container.name == names.CONTAINER), None)
    if end is None or end.reason == LOST_CONTAINER:
        return Failure(None, disruption_of(pod) or pod.message or "the pod failed without a message")
    return Failure(end.exit_code, _message(end))


def disruption_of(pod: Pod) -> str:
    """Return why the cluster ended a pod, empty where it does not say."""
    if pod.reason:
        return _ended_by_cluster(pod)
    condition = pod.condition("DisruptionTarget")
    return f"{condition.reason}: {condition.message}" if condition and condition.is_true else ""


def _ended_by_cluster(pod: Pod) -> str:
    message = ": ".join(text for text in (pod.reason, pod.message.strip().rstrip(".")) if text)
    advice = _advice(pod) if pod.reason == "Evicted" else ""
    return f"{message}; {advice}" if advice else message


def _advice(pod: Pod) -> str:
    """Return the field that keeps a pod from being evicted for what it used."""
    message = pod.message.lower()
    if "ephemeral" in message or "emptydir" in message:
        return "raise ephemeral-storage in spec.evaluator.resources (requests and limits), or write less to /tmp"
    if "memory" in message:
        return "raise spec.evaluator.resources.requests.memory to what the evaluator uses"
    return ""


def _message(end: Terminated) -> str:
    """Return the termination message: all that the evaluator wrote into it, but only the last line of a log."""
    message = end.message.strip()
    if end.exit_code == names.CONFIGURATION_ERROR_EXIT_CODE and message:
        return message
    last_line = message.rpartition("\n")[2].strip()
    if end.reason == OUT_OF_MEMORY:
        return f"{_OUT_OF_MEMORY_ADVICE}{_after_words(last_line)}"
    if end.exit_code == KILLED_EXIT_CODE:
        return f"{_KILLED_ADVICE}{_after_words(last_line)}"
    return last_line or end.reason or "no message"


def _after_words(last_line: str) -> str:
    return f"; the last line of its log: {last_line}" if last_line else ""


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
    advice = "free or add such a node, or change spec.evaluator.resources, nodeSelector or tolerations"
    if "ReadWriteOncePod" in message:
        advice = (
            "the access mode of the claim allows one pod, so the evaluator waits until that pod has ended; use a claim "
            "with access mode ReadWriteOnce or ReadWriteMany"
        )
    return Trouble(Reason.UNSCHEDULABLE, f"no node can run pod {pod.name}: {message}; {advice}")


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
            f"a volume of pod {pod.name} cannot be mounted: {warning.message}; {_volume_advice(warning)}",
        )
    if warning.reason == "FailedCreatePodSandBox":
        return Trouble(
            Reason.SANDBOX_NOT_CREATED,
            f"the node cannot start pod {pod.name}: {warning.message}; check the node's container runtime and network "
            "plugin",
        )
    return None


def _volume_advice(warning: WarningEvent) -> str:
    if "Multi-Attach" in warning.message:
        return (
            "it is mounted once the other node has released it; use a claim with access mode ReadWriteMany, or make "
            "room on that node"
        )
    return "check that the claim or bucket exists and that its CSI driver runs on the node"


def _missing_code(pod: Pod, warning: WarningEvent) -> Trouble | None:
    missing = _MISSING_CONFIG_MAP.search(warning.message)
    if missing is None:
        return None
    return Trouble(
        Reason.CODE_NOT_FOUND,
        f"ConfigMap {missing[1]}, named by spec.evaluator.code, does not exist in namespace {pod.namespace}: "
        "create it, and the evaluator starts",
    )
