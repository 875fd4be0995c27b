"""Create, change and read the SidecarEvaluations of one namespace, over plain HTTP, as any user of a token.

The integration tests use it to say in one line what is asked of the API server. Unknown fields are refused, as kubectl
asks for by default. A refusal raises the client's `ApiError`.
"""

import copy
from dataclasses import dataclass
from typing import Any

from cluster.client import Client

API_VERSION = "sidecareval.dev/v1alpha1"

Object = dict[str, Any]

MINIMAL: Object = {
    "checkpoints": {"source": {"persistentVolumeClaim": {"claimName": "runs"}}, "path": "run-42/ckpt"},
    "evaluator": {"entrypoint": "evaluate:build"},
}
"""The least spec that is accepted."""


def merged(target: Object, patch: Object) -> Object:
    """Return `target` changed by a JSON merge patch (RFC 7396): None removes a key, lists are replaced."""
    result = copy.deepcopy(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


@dataclass(frozen=True)
class Evaluations:
    """The SidecarEvaluations of one namespace, with the rights of one client."""

    client: Client
    namespace: str

    def path(self, name: str = "") -> str:
        """Return the path of the collection, or of one resource."""
        collection = f"/apis/{API_VERSION}/namespaces/{self.namespace}/sidecarevaluations"
        return f"{collection}/{name}" if name else collection

    def create(self, spec: Object | None = None, name: str = "mnist") -> Object:
        """Create a resource whose spec is the minimal one with a merge patch; return it as stored."""
        resource = {
            "apiVersion": API_VERSION,
            "kind": "SidecarEvaluation",
            "metadata": {"name": name},
            "spec": merged(MINIMAL, spec or {}),
        }
        created: Object = self.client.post(f"{self.path()}?fieldValidation=Strict", resource)
        return created

    def read(self, name: str = "mnist") -> Object:
        """Return the resource."""
        evaluation: Object = self.client.get(self.path(name))
        return evaluation

    def update(self, patch: Object, name: str = "mnist", subresource: str = "") -> Object:
        """Change the resource, or its status, by a JSON merge patch; return it as stored."""
        where = f"{self.path(name)}{subresource}?fieldValidation=Strict"
        changed: Object = self.client.request("PATCH", where, patch, "application/merge-patch+json")
        return changed

    def apply_status(self, status: Object, manager: str, name: str = "mnist") -> Object:
        """Change the status by server-side apply, as evaluator and operator do; return the resource as stored."""
        where = f"{self.path(name)}/status?fieldManager={manager}&force=true&fieldValidation=Strict"
        body = {"apiVersion": API_VERSION, "kind": "SidecarEvaluation", "status": status}
        applied: Object = self.client.request("PATCH", where, body, "application/apply-patch+yaml")
        return applied
