"""The objects that stand around an evaluator or a user in these tests: rights, and pods that nothing runs."""

from cluster.client import Client, Object

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"

OWN_RESOURCE: Object = {
    "apiGroups": ["sidecareval.dev"],
    "resources": ["sidecarevaluations"],
    "verbs": ["get", "watch"],
}
OWN_STATUS: Object = {"apiGroups": ["sidecareval.dev"], "resources": ["sidecarevaluations/status"], "verbs": ["patch"]}


def evaluator_rules(name: str) -> list[Object]:
    """Return the rules of the Role that the operator gives to the evaluator of one SidecarEvaluation."""
    return [OWN_RESOURCE | {"resourceNames": [name]}, OWN_STATUS | {"resourceNames": [name]}]


def bind(client: Client, namespace: str, account: str, rules: list[Object], *, role: str = "", home: str = "") -> None:
    """Give rules in a namespace to a ServiceAccount of that namespace, or of `home`; `role` names the Role."""
    metadata = {"metadata": {"name": role or account}}
    client.post(f"{RBAC}/{namespace}/roles", metadata | {"rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role or account}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": home or namespace}
    client.post(f"{RBAC}/{namespace}/rolebindings", metadata | {"roleRef": reference, "subjects": [subject]})


def create_pod(client: Client, namespace: str, name: str, account: str) -> None:
    """Create a restricted pod that uses a ServiceAccount."""
    unprivileged = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "evaluator", "image": "example", "securityContext": unprivileged}
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"serviceAccountName": account, "securityContext": security, "containers": [container]}
    client.post(f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": name}, "spec": spec})
