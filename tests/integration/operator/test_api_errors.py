"""Errors of the API server that persist: the status tells them, and they clear by themselves."""

from collections.abc import Iterator

import pytest

from cluster.api_server import ApiServer
from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import Node

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


@pytest.fixture
def webhook(server: ApiServer, namespace: str) -> Iterator[str]:
    """Install a webhook that nobody answers, for Jobs and Roles of the test's namespace; return its path."""
    rules = [
        {"apiGroups": [group], "apiVersions": ["v1"], "resources": [plural], "operations": ["CREATE"]}
        for group, plural in (("batch", "jobs"), ("rbac.authorization.k8s.io", "roles"))
    ]
    hook = {
        "name": "nobody.example.dev",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": rules,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
    }
    server.client.post(WEBHOOKS, {"metadata": {"name": namespace}, "webhooks": [hook]})
    yield f"{WEBHOOKS}/{namespace}"
    if server.client.answers(f"{WEBHOOKS}/{namespace}"):
        server.client.request("DELETE", f"{WEBHOOKS}/{namespace}")


def events(node: Node, reason: str) -> list[Object]:
    items: list[Object] = node.client.get(f"/api/v1/namespaces/{node.namespace}/events")["items"]
    return [event for event in items if event["reason"] == reason]


def test_a_webhook_that_is_down_is_told_until_it_is_up(
    server: ApiServer, evaluations: Evaluations, watcher: Watcher, node: Node, webhook: str
) -> None:
    evaluations.create()
    message = watcher.until("Ready", "False", "APIServerError")["message"]
    assert 'failed calling webhook "nobody.example.dev"' in message
    assert watcher.condition("Reconciling")["reason"] == "APIServerError"
    assert watcher.status()["observedGeneration"] == 1
    watcher.until_true(lambda: events(node, "APIServerError"))
    server.client.request("DELETE", webhook)
    watcher.until("Ready", "False", "EvaluatorStarting")
    assert watcher.condition("Reconciling")["reason"] == "EvaluatorStarting"


def test_an_evaluator_that_runs_stays_ready_meanwhile(
    server: ApiServer, watcher: Watcher, node: Node, running: Object, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("webhook")
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{node.namespace}/roles"
    server.client.request("DELETE", f"{roles}/mnist-evaluator")
    watcher.until("Reconciling", "True", "APIServerError")
    assert watcher.condition("Ready")["status"] == "True"
