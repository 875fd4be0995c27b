"""The user and the groups of the evaluator's pod: by default fixed ones, else what the spec says.

`manifests` puts them into the pod, `volumes` makes the mounts of buckets theirs. Pure. What
`spec.evaluator.securityContext` leaves out is left to the platform, which may give each namespace a range of its own.
"""

from typing import NamedTuple

from sidecar_operator.kube_objects import JsonObject

USER_ID = 65532
"""User and group of every process in the pod where the spec does not say otherwise."""


class PodUser(NamedTuple):
    """Numbers of user and groups, None for what the platform chooses."""

    user: int | None
    group: int | None
    volumes_group: int | None
    """Group that the files of claims get (`fsGroup`)."""


def pod_user(spec: JsonObject) -> PodUser:
    """Return the user and the groups that the spec asks for."""
    context = spec["evaluator"].get("securityContext")
    if context is None:
        return PodUser(USER_ID, USER_ID, USER_ID)
    return PodUser(context.get("runAsUser"), context.get("runAsGroup"), context.get("fsGroup"))


def is_default(spec: JsonObject) -> bool:
    """Tell whether the spec leaves user and groups to the operator."""
    return spec["evaluator"].get("securityContext") is None
