"""Typed, read-only views of Kubernetes objects, which are plain dictionaries as JSON gives them.

Every module that looks into an object does it with a view from here; `resource_view` adds the SidecarEvaluation. What
other programs write may have any shape: a field that is missing or of another type than expected reads as absent, and
reading never raises. Views decide nothing, change nothing and call nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sidecar_operator import names

JsonObject = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON gives it."""


class Key(NamedTuple):
    """Namespace and name of an object, most often of a SidecarEvaluation."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def value_at(value: object, *path: str) -> object:
    """Return the value at a path of field names, None where a field or one of its parents is absent."""
    for field in path:
        value = value.get(field) if isinstance(value, dict) else None
    return value


def text_at(value: object, *path: str) -> str:
    """Return the string at a path, empty where there is none."""
    text = value_at(value, *path)
    return text if isinstance(text, str) else ""


def integer_at(value: object, *path: str) -> int | None:
    """Return the whole number at a path, None where there is none."""
    number = value_at(value, *path)
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def object_at(value: object, *path: str) -> JsonObject:
    """Return the object at a path, empty where there is none."""
    part = value_at(value, *path)
    return part if isinstance(part, dict) else {}


def objects_at(value: object, *path: str) -> list[JsonObject]:
    """Return the objects in the list at a path, empty where there is no list."""
    items = value_at(value, *path)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def parse_time(text: object) -> datetime | None:
    """Return the time, in UTC, that a field holds as RFC 3339; None where it holds no such time."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def format_time(moment: datetime) -> str:
    """Return a time as a field holds it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class StoredCondition:
    """A condition as the status of an object holds it."""

    raw: JsonObject

    @property
    def type(self) -> str:
        """The type, such as `Ready`."""
        return text_at(self.raw, "type")

    @property
    def status(self) -> str:
        """`True`, `False` or `Unknown`."""
        return text_at(self.raw, "status")

    @property
    def is_true(self) -> bool:
        """Whether the condition holds."""
        return self.status == "True"

    @property
    def reason(self) -> str:
        """The reason, one word."""
        return text_at(self.raw, "reason")

    @property
    def message(self) -> str:
        """The message for people."""
        return text_at(self.raw, "message")

    @property
    def last_transition_time(self) -> str:
        """When the status last changed, as it is stored."""
        return text_at(self.raw, "lastTransitionTime")

    @property
    def observed_generation(self) -> int | None:
        """The generation of the spec that the condition is about."""
        return integer_at(self.raw, "observedGeneration")


def conditions_in(status: object) -> list[StoredCondition]:
    """Return the conditions that the status of an object holds."""
    return [StoredCondition(condition) for condition in objects_at(status, "conditions")]


@dataclass(frozen=True, slots=True)
class KubeObject:
    """What objects of all kinds have: metadata and conditions."""

    raw: JsonObject

    @property
    def kind(self) -> str:
        """The kind, in the singular."""
        return text_at(self.raw, "kind")

    @property
    def name(self) -> str:
        """The name."""
        return text_at(self.raw, "metadata", "name")

    @property
    def namespace(self) -> str:
        """The namespace."""
        return text_at(self.raw, "metadata", "namespace")

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return Key(self.namespace, self.name)

    @property
    def uid(self) -> str:
        """The uid, empty where the object has none yet."""
        return text_at(self.raw, "metadata", "uid")

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
    def created_at(self) -> datetime | None:
        """When the object was created."""
        return parse_time(text_at(self.raw, "metadata", "creationTimestamp"))

    @property
    def is_being_deleted(self) -> bool:
        """Whether deletion was asked for."""
        return value_at(self.raw, "metadata", "deletionTimestamp") is not None

    @property
    def is_child(self) -> bool:
        """Whether the labels say that the operator created the object."""
        return value_at(self.raw, "metadata", "labels", names.MANAGED_BY_LABEL) == names.FIELD_MANAGER

    @property
    def owner_key(self) -> Key | None:
        """The SidecarEvaluation that the object's label names, None where it has no such label."""
        owner = text_at(self.raw, "metadata", "labels", names.NAME_LABEL)
        return Key(self.namespace, owner) if owner else None

    def is_owned_by(self, owner: "KubeObject") -> bool:
        """Tell whether an ownerReference names this owner, by uid."""
        references = objects_at(self.raw, "metadata", "ownerReferences")
        return any(text_at(reference, "uid") == owner.uid for reference in references)

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


@dataclass(frozen=True, slots=True)
class Job(KubeObject):
    """A Job of batch/v1."""

    @property
    def is_suspended(self) -> bool:
        """Whether the Job is told to run no pod."""
        return value_at(self.raw, "spec", "suspend") is True

    @property
    def failed_pods(self) -> int:
        """How many of its pods have failed."""
        return integer_at(self.raw, "status", "failed") or 0

    @property
    def has_ended(self) -> bool:
        """Whether the Job runs no further pod, whatever its outcome."""
        return self.has_true("Complete") or self.has_true("Failed")


class Waiting(NamedTuple):
    """Why a container has not started."""

    reason: str
    message: str


class Terminated(NamedTuple):
    """How a container ended."""

    exit_code: int | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """What the kubelet reports of one container."""

    raw: JsonObject

    @property
    def name(self) -> str:
        """The name of the container in its pod."""
        return text_at(self.raw, "name")

    @property
    def image(self) -> str:
        """The image that it runs or shall run."""
        return text_at(self.raw, "image")

    @property
    def waiting(self) -> Waiting | None:
        """Why it has not started, None where it has."""
        state = object_at(self.raw, "state", "waiting")
        return Waiting(text_at(state, "reason"), text_at(state, "message")) if state else None

    @property
    def terminated(self) -> Terminated | None:
        """How it ended, None where it has not."""
        state = object_at(self.raw, "state", "terminated")
        if not state:
            return None
        return Terminated(integer_at(state, "exitCode"), text_at(state, "reason"), text_at(state, "message"))


@dataclass(frozen=True, slots=True)
class Pod(KubeObject):
    """A pod."""

    @property
    def phase(self) -> str:
        """`Pending`, `Running`, `Succeeded` or `Failed`."""
        return text_at(self.raw, "status", "phase")

    @property
    def reason(self) -> str:
        """Why the pod is in its phase, such as `Evicted`; mostly empty."""
        return text_at(self.raw, "status", "reason")

    @property
    def message(self) -> str:
        """The same for people; mostly empty."""
        return text_at(self.raw, "status", "message")

    @property
    def started_at(self) -> datetime | None:
        """When the kubelet took the pod over."""
        return parse_time(text_at(self.raw, "status", "startTime"))

    @property
    def containers(self) -> list[ContainerStatus]:
        """The containers, those for initialization first."""
        lists = ("initContainerStatuses", "containerStatuses")
        return [ContainerStatus(status) for field in lists for status in objects_at(self.raw, "status", field)]

    @property
    def is_ready(self) -> bool:
        """Whether the pod passes its readiness probe and is not being deleted."""
        return self.has_true("Ready") and not self.is_being_deleted

    @property
    def is_over(self) -> bool:
        """Whether all containers of the pod have ended for good."""
        return self.phase in {"Succeeded", "Failed"}


class WarningEvent(NamedTuple):
    """A Warning that a component of the cluster has published about an object."""

    reason: str
    message: str
