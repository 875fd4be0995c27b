"""Names that the operator shares with the API server: group, kinds, labels, field manager and keys.

Every other module uses it. It holds constants and small readers of Kubernetes objects, which are plain dictionaries
as JSON gives them; it knows nothing of policy and calls nothing.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON gives it."""

GROUP: Final = "sidecareval.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "SidecarEvaluation"
PLURAL: Final = "sidecarevaluations"

FIELD_MANAGER: Final = "sidecar-operator"
"""Owner, in server-side apply, of every field that the operator writes."""

NAME_LABEL: Final = "sidecareval.dev/name"
"""Label of every child: the name of its SidecarEvaluation."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
CHILD_SELECTOR: Final = f"{MANAGED_BY_LABEL}={FIELD_MANAGER}"
JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"

CONTAINER: Final = "evaluator"
"""Name of the container that evaluates, in each pod."""

CONFIGURATION_ERROR_EXIT_CODE: Final = 78
"""Exit code by which the evaluator says that trying again would not help."""


class Key(NamedTuple):
    """Namespace and name of an object, most often of a SidecarEvaluation."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class TrainingRef(NamedTuple):
    """The training that a SidecarEvaluation follows, in the same namespace."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def key_of(obj: Object) -> Key:
    """Return the object's own key."""
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


def owner_key_of(child: Object) -> Key | None:
    """Return the key of the SidecarEvaluation that the child's label names, None where it has no such label."""
    name = child["metadata"].get("labels", {}).get(NAME_LABEL)
    return Key(child["metadata"]["namespace"], name) if name else None


def uid_of(obj: Object) -> str:
    """Return the uid, empty where the object has none yet."""
    return str(obj["metadata"].get("uid", ""))


def generation_of(obj: Object) -> int:
    """Return the generation of the spec, 0 where the object has none yet."""
    return int(obj["metadata"].get("generation", 0))


def is_owned_by(child: Object, owner_uid: str) -> bool:
    """Tell whether an ownerReference of the child names this uid."""
    return any(owner["uid"] == owner_uid for owner in child["metadata"].get("ownerReferences", []))


def is_being_deleted(obj: Object) -> bool:
    """Tell whether deletion was asked for."""
    return "deletionTimestamp" in obj["metadata"]


def training_ref_of(evaluation: Object) -> TrainingRef | None:
    """Return what `spec.trainingRef` names, None where it is not set."""
    ref = evaluation["spec"].get("trainingRef")
    if ref is None:
        return None
    return TrainingRef(ref["apiVersion"], ref["kind"], evaluation["metadata"]["namespace"], ref["name"])


def time_of(text: object) -> datetime | None:
    """Return a time that an object holds (RFC 3339), None where it holds none that can be read."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def find_condition(obj: Object, condition_type: str) -> Object | None:
    """Return the condition of this type from `status.conditions`; any shape of a foreign status is borne."""
    status = obj.get("status")
    conditions = status.get("conditions") if isinstance(status, dict) else None
    for found in conditions if isinstance(conditions, list) else []:
        if isinstance(found, dict) and found.get("type") == condition_type:
            return found
    return None


def is_true(obj: Object, condition_type: str) -> bool:
    """Tell whether the condition of this type is True."""
    condition = find_condition(obj, condition_type)
    return condition is not None and condition.get("status") == "True"
