"""What an evaluator's token opens in the API: its own resource, to read and to watch. Everything else is forbidden."""

import json
import ssl
import urllib.request

import pytest

from cluster.client import ApiError
from integration.evaluations import Evaluations, Object
from support.waiting import DEADLINE

CORE = "/api/v1/namespaces/{namespace}"
EVALUATIONS = "/apis/sidecareval.dev/v1alpha1/namespaces/{namespace}/sidecarevaluations"
POD = f"{CORE}/pods/mnist-0a1b2c3d-x7k2p"
NAMED: Object = {"metadata": {"name": "mine"}}
LABELLED: Object = {"metadata": {"labels": {"a": "b"}}}

FORBIDDEN: list[tuple[str, str, Object | None]] = [
    ("PATCH", f"{EVALUATIONS}/mnist", {"spec": {"suspend": True}}),
    ("PATCH", f"{EVALUATIONS}/mnist", LABELLED),
    ("PUT", f"{EVALUATIONS}/mnist/status", {"metadata": {"name": "mnist"}}),
    ("DELETE", f"{EVALUATIONS}/mnist", None),
    ("GET", EVALUATIONS, None),
    ("POST", EVALUATIONS, NAMED),
    ("GET", f"{EVALUATIONS}/other", None),
    ("PATCH", f"{EVALUATIONS}/other/status", {"status": {"results": {"backlog": 0}}}),
    ("GET", f"{CORE}/secrets", None),
    ("GET", f"{CORE}/secrets/registry", None),
    ("POST", f"{CORE}/secrets", NAMED),
    ("GET", f"{CORE}/configmaps", None),
    ("GET", f"{CORE}/configmaps/code", None),
    ("POST", f"{CORE}/configmaps", NAMED),
    ("PATCH", f"{CORE}/configmaps/code", {"data": {"a": "b"}}),
    ("GET", f"{CORE}/pods", None),
    ("GET", POD, None),
    ("GET", f"{POD}/log", None),
    ("POST", f"{CORE}/pods", NAMED),
    ("PATCH", POD, LABELLED),
    ("DELETE", POD, None),
    ("POST", f"{CORE}/events", NAMED),
    ("POST", f"{CORE}/serviceaccounts/default/token", {"spec": {}}),
    ("GET", "/apis/batch/v1/namespaces/{namespace}/jobs", None),
    ("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles", None),
    ("GET", "/api/v1/namespaces", None),
    ("GET", "/api/v1/nodes", None),
]


def test_own_resource_is_read(evaluator: Evaluations) -> None:
    assert evaluator.read("mnist")["metadata"]["name"] == "mnist"


def test_own_resource_is_watched(evaluator: Evaluations) -> None:
    event = first_event(evaluator, "watch=true&fieldSelector=metadata.name%3Dmnist")
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "mnist")


def first_event(evaluator: Evaluations, query: str) -> Object:
    """Watch until the first event comes."""
    client = evaluator.client
    headers = {"Authorization": f"Bearer {client.token}"}
    request = urllib.request.Request(f"{client.url}{evaluator.path()}?{query}", headers=headers)
    context = ssl.create_default_context(cadata=client.authority)
    with urllib.request.urlopen(request, timeout=DEADLINE, context=context) as events:
        event: Object = json.loads(events.readline())
    return event


@pytest.mark.parametrize(("method", "path", "body"), FORBIDDEN)
def test_everything_else_is_forbidden(evaluator: Evaluations, method: str, path: str, body: Object | None) -> None:
    content = "application/merge-patch+json" if method == "PATCH" else "application/json"
    with pytest.raises(ApiError, match=r'403: .*User "system:serviceaccount:.*" cannot'):
        evaluator.client.request(method, path.format(namespace=evaluator.namespace), body, content)
