"""Whose token may write the results of a resource: the one bound to a pod of its own evaluator.

RBAC alone holds an evaluator to its own resource. These tests give wider rights on purpose, to show that the policy
holds without it.
"""

import pytest

from cluster.api_server import ApiServer
from cluster.client import ApiError
from integration.evaluations import Evaluations, Object
from integration.policies.conftest import POD, InPod
from integration.policies.objects import OWN_STATUS, bind, create_pod

MANAGER = "sidecar-evaluator"
STATUS: Object = {"results": {"backlog": 0}}

FOREIGN_PODS = [
    "other-0a1b2c3d-x7k2p",
    "mnist",
    "mnist-x7k2p",
    "mnist-0a1b2c3d",
    "mnist-evaluator-0a1b2c3d-x7k2p",
    "mnist-0a1b2c3d-x7k2p-more",
    "mnist-0a1b2c3g-x7k2p",
    "my-mnist-0a1b2c3d-x7k2p",
    "mnist2-0a1b2c3d-x7k2p",
    "debug",
]


def test_every_pod_of_the_evaluator_may_write(in_pod: InPod) -> None:
    for pod in ("mnist-0a1b2c3d-x7k2p", "mnist-ffffffff-00000"):
        assert in_pod(pod).apply_status(STATUS, MANAGER)["status"]["results"] == STATUS["results"]


@pytest.mark.parametrize("pod", FOREIGN_PODS)
def test_token_of_another_pod_is_refused(in_pod: InPod, evaluations: Evaluations, pod: str) -> None:
    with pytest.raises(ApiError, match=f"403: .*bound to a pod of the evaluator of mnist; it is bound to pod {pod}$"):
        in_pod(pod).apply_status(STATUS, MANAGER)
    assert "results" not in evaluations.read()["status"]


def test_token_of_no_pod_is_refused(server: ApiServer, evaluator: Evaluations, namespace: str) -> None:
    unbound = Evaluations(server.client_of(server.token("mnist-evaluator", namespace)), namespace)
    with pytest.raises(ApiError, match=r"403: .*it is bound to no pod"):
        unbound.apply_status(STATUS, MANAGER)


def test_token_of_a_deleted_pod_is_no_token(server: ApiServer, evaluator: Evaluations, namespace: str) -> None:
    server.client.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/{POD}?gracePeriodSeconds=0")
    with pytest.raises(ApiError, match="401"):
        evaluator.apply_status(STATUS, MANAGER)


def test_evaluator_of_another_resource_is_refused(
    server: ApiServer, evaluator: Evaluations, evaluations: Evaluations, namespace: str
) -> None:
    bind(server.client, namespace, "mnist-evaluator", [OWN_STATUS], role="wide")
    with pytest.raises(
        ApiError, match=r"403: .*mnist-evaluator is not the evaluator of SidecarEvaluation team-\d+/other"
    ):
        evaluator.apply_status(STATUS, MANAGER, "other")
    assert "results" not in evaluations.read("other")["status"]


def test_another_evaluator_in_a_pod_of_the_right_name_is_refused(
    server: ApiServer, evaluations: Evaluations, namespace: str
) -> None:
    evaluations.create()
    server.create_service_account("other-evaluator", namespace)
    bind(server.client, namespace, "other-evaluator", [OWN_STATUS])
    create_pod(server.client, namespace, POD, "other-evaluator")
    other = Evaluations(server.client_of(server.token("other-evaluator", namespace, POD)), namespace)
    with pytest.raises(ApiError, match=r"403: .*other-evaluator is not the evaluator of"):
        other.apply_status(STATUS, MANAGER)


def test_evaluator_of_the_same_name_in_another_namespace_is_refused(
    server: ApiServer, evaluator: Evaluations, namespace: str
) -> None:
    server.create_namespace(f"{namespace}-other")
    Evaluations(server.client, f"{namespace}-other").create()
    bind(server.client, f"{namespace}-other", "mnist-evaluator", [OWN_STATUS], home=namespace)
    elsewhere = Evaluations(evaluator.client, f"{namespace}-other")
    with pytest.raises(ApiError, match=r"403: .*is not the evaluator of"):
        elsewhere.apply_status(STATUS, MANAGER)
