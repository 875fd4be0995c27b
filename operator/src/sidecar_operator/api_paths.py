"""Where objects are at the API server: the paths of kinds, and under which names kinds are served.

`kube_client` asks there, `training_watch` learns here under which version a kind is served now. Pure.
"""

from typing import NamedTuple

from sidecar_operator import names

LEASES = "coordination.k8s.io/v1"

PLURALS = {
    "SidecarEvaluation": (names.API_VERSION, names.PLURAL),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
    "Job": ("batch/v1", "jobs"),
    "Pod": ("v1", "pods"),
}
"""API version and plural of each kind that the operator itself handles."""


class ServedKind(NamedTuple):
    """A kind as the cluster serves it."""

    api_version: str
    plural: str


def path_of(api_version: str, plural: str = "", namespace: str | None = None, name: str = "") -> str:
    """Return the path of an API version, of a kind in it, or of one object."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return root + scope + (f"/{plural}" if plural else "") + (f"/{name}" if name else "")
