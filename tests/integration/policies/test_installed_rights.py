"""The rights that deploy/base gives to the operator and to users: enough for their work, and no more."""

import pytest

from cluster.api_server import ApiServer
from cluster.client import ApiError, Client
from integration.evaluations import Evaluations, Object
from integration.policies.objects import bind, evaluator_rules

REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

ALLOWED = [
    ("list", "sidecareval.dev", "sidecarevaluations"),
    ("watch", "sidecareval.dev", "sidecarevaluations"),
    ("patch", "sidecareval.dev", "sidecarevaluations/status"),
    ("create", "batch", "jobs"),
    ("patch", "batch", "jobs"),
    ("delete", "batch", "jobs"),
    ("watch", "batch", "jobs"),
    ("watch", "", "pods"),
    ("create", "", "serviceaccounts"),
    ("create", "rbac.authorization.k8s.io", "roles"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
    ("create", "events.k8s.io", "events"),
    ("list", "", "events"),
    ("list", "", "serviceaccounts"),
    ("watch", "", "serviceaccounts"),
    ("watch", "rbac.authorization.k8s.io", "roles"),
    ("watch", "rbac.authorization.k8s.io", "rolebindings"),
]
FORBIDDEN = [
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("get", "", "configmaps"),
    ("get", "", "persistentvolumeclaims"),
    ("list", "", "namespaces"),
    ("create", "", "pods"),
    ("delete", "", "pods"),
    ("create", "", "pods/exec"),
    ("get", "", "pods/log"),
    ("create", "", "serviceaccounts/token"),
    ("delete", "", "serviceaccounts"),
    ("patch", "sidecareval.dev", "sidecarevaluations"),
    ("update", "sidecareval.dev", "sidecarevaluations"),
    ("delete", "sidecareval.dev", "sidecarevaluations"),
    ("escalate", "rbac.authorization.k8s.io", "roles"),
    ("bind", "rbac.authorization.k8s.io", "roles"),
    ("create", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("patch", "admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("patch", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("impersonate", "", "users"),
    ("patch", "kubeflow.org", "tfjobs"),
    ("get", "coordination.k8s.io", "leases"),
    ("create", "coordination.k8s.io", "leases"),
    ("*", "*", "*"),
]


def may(client: Client, verb: str, group: str, resource: str) -> bool:
    """Ask the API server whether the client has a right, in any namespace."""
    name, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": name, "subresource": subresource, "namespace": "default"}
    review: Object = client.post(REVIEW, {"spec": {"resourceAttributes": attributes}})
    return bool(review["status"]["allowed"])


@pytest.mark.parametrize("right", ALLOWED, ids=" ".join)
def test_operator_may(operator: Client, right: tuple[str, str, str]) -> None:
    assert may(operator, *right)


@pytest.mark.parametrize("right", FORBIDDEN, ids=" ".join)
def test_operator_may_not(operator: Client, right: tuple[str, str, str]) -> None:
    assert not may(operator, *right)


@pytest.mark.parametrize(
    ("verb", "name", "allowed"),
    [
        ("create", "", True),
        ("get", "sidecar-operator", True),
        ("update", "sidecar-operator", True),
        ("get", "other", False),
        ("update", "other", False),
        ("list", "", False),
        ("delete", "sidecar-operator", False),
    ],
)
def test_operator_may_hold_its_own_lease(operator: Client, verb: str, name: str, allowed: bool) -> None:
    attributes = {"verb": verb, "group": "coordination.k8s.io", "resource": "leases", "name": name}
    review = operator.post(REVIEW, {"spec": {"resourceAttributes": attributes | {"namespace": "sidecar-system"}}})
    assert review["status"]["allowed"] is allowed


def test_operator_can_grant_an_evaluator_its_rights(operator: Client, namespace: str) -> None:
    bind(operator, namespace, "mnist-evaluator", evaluator_rules("mnist"))


def test_operator_cannot_grant_what_it_has_not(operator: Client, namespace: str) -> None:
    with pytest.raises(ApiError, match=r"403: .*attempting to grant RBAC permissions not currently held"):
        bind(operator, namespace, "mine", [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}])


def test_operator_writes_the_status(operator: Client, evaluations: Evaluations, namespace: str) -> None:
    evaluations.create()
    written = Evaluations(operator, namespace).apply_status({"observedGeneration": 1}, "sidecar-operator")
    assert written["status"] == {"observedGeneration": 1}


def test_rights_of_users(server: ApiServer, namespace: str) -> None:
    server.create_service_account("user", namespace)
    for role in ("sidecarevaluations-view", "sidecarevaluations-edit"):
        path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}"
        bind(server.client, namespace, "user", server.client.get(path)["rules"], role=role)
    user = Evaluations(server.client_of(server.token("user", namespace)), namespace)
    assert user.client.get(user.path())["items"] == []
    Evaluations(server.client, namespace).create()
    assert user.update({"metadata": {"labels": {"a": "b"}}})["metadata"]["labels"] == {"a": "b"}
    with pytest.raises(ApiError, match=r"403: .*cannot patch resource"):
        user.apply_status({"results": {"backlog": 0}}, "user")
    user.client.request("DELETE", user.path("mnist"))
