"""Typed, read-only views of Kubernetes objects, which are plain dictionaries as JSON gives them.

Every module that looks into an object does it with a view from here; `resource_view` adds the SidecarEvaluation. What
other programs write may have any shape: a field that is missing or of another type than expected reads as absent, and
reading never raises. Views decide nothing, change nothing and call nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from sidecar_operator import names

JsonObject = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON gives it."""

Value = TypeVar("Value")


class Key(NamedTuple):
    """Namespace and name of an object, most often of a SidecarEvaluation."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Page(NamedTuple):
    """A part of a list: objects of one kind, and the resourceVersion at which the API server made the whole list."""

    objects: list[JsonObject]
    version: int
    namespace: str | None = None
    """The only namespace that is listed, None for all."""
    is_first: bool = True
    is_last: bool = True

    def covers(self, key: Key) -> bool:
        """Tell whether the list has the objects of this namespace."""
        return self.namespace in (None, key.namespace)


def value_at(value: object, *path: str) -> object:
    """Return the value at a path of field names, None where a field or one of its parents is absent."""
    for field in path:
        if not isinstance(value, dict):
            return None
        value = value.get(field)
    return value


def text_at(value: object, *path: str) -> str:
    """Return the string at a path, empty where there is none."""
    text = value_at(value, *path)
    return text if isinstance(text, str) else ""


def integer_at(value: object, *path: str) -> int | None:
    """Return the whole number at a path, None where there is none."""
    number = value_at(value, *path)
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def flag_at(value: object, *path: str) -> bool:
    """Return whether the value at a path is true."""
    return value_at(value, *path) is True


def object_at(value: object, *path: str) -> JsonObject:
    """Return the object at a path, empty where there is none."""
    part = value_at(value, *path)
    return part if isinstance(part, dict) else {}


def objects_at(value: object, *path: str) -> list[JsonObject]:
    """Return the objects in the list at a path, empty where there is no list."""
    items = value_at(value, *path)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def time_at(value: object, *path: str) -> datetime | None:
    """Return the time, in UTC, at a path, None where there is none."""
    return parse_time(text_at(value, *path))


def parse_time(text: str) -> datetime | None:
    """Return the time, in UTC, that a text holds as RFC 3339; None where it holds no such time."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def format_time(moment: datetime) -> str:
    """Return a time as a field holds it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class View:
    """An object, or a part of one, whose fields are read on demand."""

    raw: JsonObject


class Field(Generic[Value]):
    """Declares a field of a view: how it is read, such as with `text_at`, and its path."""

    def __init__(self, read: Callable[..., Value], *path: str) -> None:
        self._read = read
        self._path = path

    def __get__(self, view: View, _: type) -> Value:
        return self._read(view.raw, *self._path)


class StoredCondition(View):
    """A condition as the status of an object holds it."""

    __slots__ = ()
    type = Field(text_at, "type")
    status = Field(text_at, "status")
    """`True`, `False` or `Unknown`."""
    reason = Field(text_at, "reason")
    message = Field(text_at, "message")
    last_transition_time = Field(text_at, "lastTransitionTime")
    """When the status last changed, as it is stored."""
    observed_generation = Field(integer_at, "observedGeneration")
    """The generation of the spec that the condition is about."""

    @property
    def is_true(self) -> bool:
        """Whether the condition holds."""
        return self.status == "True"


def conditions_in(status: object) -> list[StoredCondition]:
    """Return the conditions that the status of an object holds."""
    return [StoredCondition(condition) for condition in objects_at(status, "conditions")]


class OwnerReference(View):
    """The reference of an object to one that it belongs to."""

    __slots__ = ()
    kind = Field(text_at, "kind")
    name = Field(text_at, "name")
    uid = Field(text_at, "uid")


class KubeObject(View):
    """What objects of all kinds have: metadata and conditions."""

    __slots__ = ()
    kind = Field(text_at, "kind")
    api_version = Field(text_at, "apiVersion")
    name = Field(text_at, "metadata", "name")
    namespace = Field(text_at, "metadata", "namespace")
    uid = Field(text_at, "metadata", "uid")
    """Empty where the object has none yet."""
    created_at = Field(time_at, "metadata", "creationTimestamp")

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return Key(self.namespace, self.name)

    @property
    def generation(self) -> int:
        """The generation of the spec, 0 where the object has none yet."""
        return integer_at(self.raw, "metadata", "generation") or 0

    @property
    def resource_version(self) -> int:
        """The resourceVersion, which of two versions of one object is greater for the newer."""
        text = text_at(self.raw, "metadata", "resourceVersion")
        return int(text) if text.isdecimal() else 0

    @property
    def is_being_deleted(self) -> bool:
        """Whether deletion was asked for."""
        return value_at(self.raw, "metadata", "deletionTimestamp") is not None

    def annotation(self, name: str) -> str:
        """Return the value of an annotation, empty where there is none."""
        return text_at(self.raw, "metadata", "annotations", name)

    @property
    def is_child(self) -> bool:
        """Whether the labels say that the operator created the object."""
        return value_at(self.raw, "metadata", "labels", names.MANAGED_BY_LABEL) == names.FIELD_MANAGER

    @property
    def owner_key(self) -> Key | None:
        """The SidecarEvaluation that the object's label names, None where it has no such label."""
        owner = text_at(self.raw, "metadata", "labels", names.NAME_LABEL)
        return Key(self.namespace, owner) if owner else None

    @property
    def controller(self) -> "OwnerReference":
        """The ownerReference of the object that controls this one; empty where there is none."""
        references = objects_at(self.raw, "metadata", "ownerReferences")
        return OwnerReference(next((item for item in references if flag_at(item, "controller")), {}))

    def is_owned_by(self, owner: "KubeObject") -> bool:
        """Tell whether this owner controls the object: its ownerReference names it by uid, whatever labels say."""
        return bool(owner.uid) and self.controller.uid == owner.uid

    def is_of_namesake(self, owner: "KubeObject") -> bool:
        """Tell whether an earlier object of the owner's kind and name controls the object; it is garbage then."""
        controller = self.controller
        return (controller.kind, controller.name) == (owner.kind, owner.name) and controller.uid != owner.uid

    @property
    def conditions(self) -> list[StoredCondition]:
        """The conditions in the status."""
        return conditions_in(object_at(self.raw, "status"))

    def condition(self, condition_type: str) -> StoredCondition | None:
        """Return the condition of this type, None where there is none."""
        return next((condition for condition in self.conditions if condition.type == condition_type), None)

    def has_true(self, condition_type: str) -> bool:
        """Tell whether the condition of this type is True."""
        condition = self.condition(condition_type)
        return condition is not None and condition.is_true


class Job(KubeObject):
    """A Job of batch/v1."""

    __slots__ = ()
    is_suspended = Field(flag_at, "spec", "suspend")
    requested_suspend = Field(text_at, "metadata", "annotations", names.SUSPEND_ANNOTATION)
    """The value of `spec.suspend` that the operator has written last: `true` or `false`, empty before."""
    failed_pods = Field(integer_at, "status", "failed")
    """Number of its pods that have failed."""
    active_pods = Field(integer_at, "status", "active")
    """Number of its pods that run or may run."""

    @property
    def has_ended(self) -> bool:
        """Whether the Job runs no further pod, whatever its outcome."""
        return self.has_true("Complete") or self.has_true("Failed")

    @property
    def made_for_generation(self) -> int | None:
        """The generation of the spec that it was made for, None where an earlier operator made it."""
        text = self.annotation(names.GENERATION_ANNOTATION)
        return int(text) if text.isdecimal() else None

    @property
    def attempt(self) -> int:
        """How many Jobs of the same run have failed before it."""
        text = self.annotation(names.ATTEMPT_ANNOTATION)
        return int(text) if text.isdecimal() else 0

    @property
    def failed_at(self) -> datetime | None:
        """When the Job failed, None where it has not."""
        failed = self.condition("Failed")
        return parse_time(failed.last_transition_time) if failed and failed.is_true else None


class Waiting(View):
    """Why a container has not started."""

    __slots__ = ()
    reason = Field(text_at, "reason")
    message = Field(text_at, "message")


class Terminated(View):
    """How a container ended."""

    __slots__ = ()
    exit_code = Field(integer_at, "exitCode")
    reason = Field(text_at, "reason")
    message = Field(text_at, "message")
    finished_at = Field(time_at, "finishedAt")


class ContainerStatus(View):
    """What the kubelet reports of one container."""

    __slots__ = ()
    name = Field(text_at, "name")
    image = Field(text_at, "image")
    image_id = Field(text_at, "imageID")
    """The image, resolved to its digest; empty before it was pulled."""
    running_since = Field(time_at, "state", "running", "startedAt")
    """When it was started, None where it does not run."""

    @property
    def waiting(self) -> Waiting | None:
        """Why it has not started, None where it has."""
        state = object_at(self.raw, "state", "waiting")
        return Waiting(state) if state else None

    @property
    def terminated(self) -> Terminated | None:
        """How it ended, None where it has not."""
        state = object_at(self.raw, "state", "terminated")
        return Terminated(state) if state else None


class Pod(KubeObject):
    """A pod."""

    __slots__ = ()
    phase = Field(text_at, "status", "phase")
    """`Pending`, `Running`, `Succeeded` or `Failed`."""
    reason = Field(text_at, "status", "reason")
    """Why the pod is in its phase, such as `Evicted`; mostly empty."""
    message = Field(text_at, "status", "message")
    started_at = Field(time_at, "status", "startTime")
    """When the kubelet accepted the pod."""

    @property
    def containers(self) -> list[ContainerStatus]:
        """The containers, those for initialization first."""
        lists = ("initContainerStatuses", "containerStatuses")
        return [ContainerStatus(status) for field in lists for status in objects_at(self.raw, "status", field)]

    @property
    def evaluator_end(self) -> Terminated | None:
        """How the evaluator's container ended, None where it has not; other containers do not count."""
        ends = (container.terminated for container in self.containers if container.name == names.CONTAINER)
        return next(ends, None)

    @property
    def evaluator_started_at(self) -> datetime | None:
        """When the evaluator's container was started, None where it does not run."""
        starts = (container.running_since for container in self.containers if container.name == names.CONTAINER)
        return next(starts, None)

    @property
    def evaluator_image_id(self) -> str:
        """The image of the evaluator's container, resolved to its digest; empty before it was pulled."""
        images = (container.image_id for container in self.containers if container.name == names.CONTAINER)
        return next(images, "")

    @property
    def unready_since(self) -> datetime | None:
        """When the pod, after it was ready, began to fail its readiness probe; None where it does not."""
        ready, started_at = self.condition("Ready"), self.evaluator_started_at
        if ready is None or ready.is_true or ready.reason != "ContainersNotReady" or started_at is None:
            return None
        since = parse_time(ready.last_transition_time)
        return since if since and since > started_at else None

    @property
    def is_held_open(self) -> bool:
        """Whether the evaluator has ended, and the pod goes on because another container of it does not."""
        if self.evaluator_end is None or self.is_over:
            return False
        statuses = objects_at(self.raw, "status", "containerStatuses")
        return any(ContainerStatus(status).terminated is None for status in statuses)

    @property
    def is_ready(self) -> bool:
        """Whether the pod passes its readiness probe and is not being deleted."""
        return self.has_true("Ready") and not self.is_being_deleted

    @property
    def is_over(self) -> bool:
        """Whether all containers of the pod have ended and none is started again."""
        return self.phase in {"Succeeded", "Failed"}


class WarningEvent(NamedTuple):
    """A Warning that a component of the cluster has published about an object."""

    reason: str
    message: str
