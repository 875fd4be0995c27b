"""The evaluator's API client with the files and permissions of its pod, against a real API server."""

import itertools
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cluster.api_server import ApiServer as Cluster
from integration.evaluations import Evaluations, Object
from integration.policies.objects import RBAC
from sidecar_evaluator.kube.client import ApiClient, ApiError, load_incluster_config
from sidecar_evaluator.kube.resource import KubernetesResource, read_patiently, watch
from sidecar_evaluator.results.evaluator_report import (
    BeganAnew,
    BeginningReason,
    EvaluatorReport,
    Problem,
    ProblemReason,
)
from sidecar_evaluator.results.ledger import Results, Rules, settle
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Provenance
from sidecar_evaluator.results.serialization import render
from support.waiting import DEADLINE, until


@pytest.fixture
def client(server: Cluster, evaluator: Evaluations, tmp_path: Path) -> ApiClient:
    """Return the client that the evaluator has in its pod."""
    (tmp_path / "token").write_text(evaluator.client.token)
    (tmp_path / "ca.crt").write_text(server.authority)
    address = urlsplit(server.url)
    environment = {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}
    config = load_incluster_config(environment, tmp_path)
    assert config
    return ApiClient(config)


@pytest.fixture
def resource(client: ApiClient, namespace: str) -> KubernetesResource:
    return KubernetesResource(f"{namespace}/mnist", client)


def test_results_are_read_and_published(resource: KubernetesResource, evaluations: Evaluations) -> None:
    assert resource.read()["metadata"]["name"] == "mnist"
    for backlog in range(20):
        resource.apply_results({"backlog": backlog})
        assert evaluations.read()["status"]["results"] == {"backlog": backlog}


def test_whatever_the_evaluator_says_is_stored_as_it_said_it(
    resource: KubernetesResource, evaluations: Evaluations
) -> None:
    provenance = Provenance("sha256:" + "a" * 64, "docker.io/library/evaluator@sha256:" + "b" * 64)
    outcome = Outcome("ckpt-1", OutcomeKind.EVALUATED, 1, 2.0, 3.0, modified_at=1.5, provenance=provenance)
    results = settle(Results(), replace(outcome, modified_at=0.5), Rules())
    results = replace(
        settle(results, replace(outcome, modified_at=99.5, is_written_again=True), Rules()),
        evaluator=EvaluatorReport("pod-1", 4.0, provenance.code_digest, "/checkpoints/run-41"),
        problem=Problem(ProblemReason.DIRECTORY_MOVED, "\u00e4 moved", 5.0),
        began_anew=BeganAnew(BeginningReason.CODE_CHANGED, "laid aside", 6.0),
    )
    resource.read()
    resource.apply_results(render(results))
    assert evaluations.read()["status"]["results"] == render(results)


def test_results_never_go_to_another_resource_of_the_same_name(
    resource: KubernetesResource, evaluations: Evaluations, server: Cluster
) -> None:
    resource.read()
    server.client.request("DELETE", evaluations.path("mnist"))
    evaluations.create(name="mnist")
    with pytest.raises(ApiError, match="mnist was deleted and another object was created with its name"):
        resource.apply_results({"backlog": 1})
    assert "results" not in evaluations.read()["status"]


def test_results_of_an_older_version_are_refused(
    resource: KubernetesResource, evaluations: Evaluations, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = resource.read()["metadata"]["resourceVersion"]
    evaluations.apply_status({"job": "mnist-1"}, "sidecar-operator")
    monkeypatch.setattr(resource, "_resource_version", lambda: {"resourceVersion": version})
    with pytest.raises(ApiError, match="409"):
        resource.apply_results({"backlog": 1})


def test_the_state_of_the_training_arrives(resource: KubernetesResource, evaluations: Evaluations) -> None:
    evaluations.apply_status({"training": {"state": "Running"}}, "sidecar-operator")
    states, stop, running, over = list[str](), threading.Event(), threading.Event(), threading.Event()

    def record(evaluation: dict[str, Any]) -> None:
        state = evaluation["status"]["training"]["state"]
        states.append(state)
        (running if state == "Running" else over).set()

    watching = threading.Thread(target=watch, args=(resource, record, stop.set, stop, 0.01), daemon=True)
    watching.start()
    assert running.wait(DEADLINE)
    evaluations.apply_status({"training": {"state": "Succeeded"}}, "sidecar-operator")
    assert over.wait(DEADLINE)
    stop.set()
    assert [state for state, _ in itertools.groupby(states)] == ["Running", "Succeeded"]


def test_the_resource_of_another_evaluator_cannot_be_read(client: ApiClient, namespace: str) -> None:
    other = KubernetesResource(f"{namespace}/other", client)
    with pytest.raises(ApiError) as refused:
        other.read()
    assert refused.value.status == 403
    assert 'cannot get resource "sidecarevaluations"' in str(refused.value)
    with pytest.raises(ConnectionError, match="Forbidden; check --resource"):
        read_patiently(other, threading.Event(), attempts=3, pause=0.001)


def test_a_role_that_is_deleted_and_made_again_is_waited_for(
    server: Cluster, resource: KubernetesResource, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    role = f"{RBAC}/{namespace}/roles/mnist-evaluator"
    stored = server.client.get(role)
    server.client.request("DELETE", role)
    until(lambda: is_forbidden(resource))
    restored = threading.Timer(0.0, lambda: restore(server, role, stored, caplog))
    restored.start()
    assert read_patiently(resource, threading.Event(), pause=0.01)["metadata"]["name"] == "mnist"
    restored.join(DEADLINE)


def restore(server: Cluster, role: str, stored: Object, caplog: pytest.LogCaptureFixture) -> None:
    """Make the Role again once the evaluator has been refused more often than a slow authorizer explains."""
    until(lambda: caplog.text.count("Forbidden") > 6)
    metadata = {"name": stored["metadata"]["name"]}
    server.client.post(role.rpartition("/")[0], {"metadata": metadata, "rules": stored["rules"]})


def is_forbidden(resource: KubernetesResource) -> bool:
    try:
        resource.read()
    except ApiError as error:
        return error.status == 403
    return False
