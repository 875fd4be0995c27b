"""An evaluator as the operator sets it up: ServiceAccount, Role, RoleBinding, a pod, and a token bound to that pod.

The pod is only an object here: nothing runs it, the test holds its token instead. No test starts before both
policies are in force.
"""

from collections.abc import Callable

import pytest

from cluster.api_server import ApiServer
from cluster.client import ApiError, Client
from integration.evaluations import Evaluations
from integration.policies.objects import OWN_STATUS, bind, create_pod, evaluator_rules
from support.waiting import until

POD = "mnist-0a1b2c3d-x7k2p"

InPod = Callable[[str], Evaluations]
"""Creates a pod of that name, run by the evaluator of mnist; returns what the pod sees."""


@pytest.fixture(scope="session")
def operator(server: ApiServer) -> Client:
    """Return a client with the rights that deploy/base gives to the operator."""
    return server.client_of(server.token("sidecar-operator", "sidecar-system"))


@pytest.fixture
def in_pod(server: ApiServer, operator: Client, namespace: str, evaluations: Evaluations) -> InPod:
    """Create the resources mnist and other, and the rights of the evaluator of mnist."""
    evaluations.create(name="mnist")
    evaluations.create(name="other")
    server.create_service_account("mnist-evaluator", namespace)
    bind(operator, namespace, "mnist-evaluator", evaluator_rules("mnist"))

    def see(pod: str) -> Evaluations:
        create_pod(server.client, namespace, pod, "mnist-evaluator")
        return Evaluations(server.client_of(server.token("mnist-evaluator", namespace, pod)), namespace)

    return see


@pytest.fixture
def evaluator(in_pod: InPod) -> Evaluations:
    """Return the SidecarEvaluations as the evaluator of mnist sees them from its pod."""
    return in_pod(POD)


@pytest.fixture(scope="session", autouse=True)
def _policies_in_force(server: ApiServer) -> None:
    """Wait until both policies refuse: the API server takes a moment to put them in force."""
    server.create_namespace("probe")
    Evaluations(server.client, "probe").create(name="probe")
    server.create_service_account("probe-evaluator", "probe")
    creation = {"apiGroups": ["sidecareval.dev"], "resources": ["sidecarevaluations"], "verbs": ["create"]}
    bind(server.client, "probe", "probe-evaluator", [OWN_STATUS, creation])
    probe = Evaluations(server.client_of(server.token("probe-evaluator", "probe")), "probe")
    status = {"results": {"backlog": 0}}
    names = (f"probe-{number}" for number in range(1000))  # what is created before the policy is in force stays
    until(lambda: is_refused(lambda: probe.apply_status(status, "probe", "probe")))
    until(lambda: is_refused(lambda: probe.create(name=next(names))))


def is_refused(attempt: Callable[[], object]) -> bool:
    """Say whether an admission policy refuses the attempt; anything else that goes wrong is raised."""
    try:
        attempt()
    except ApiError as refusal:
        if "ValidatingAdmissionPolicy" not in str(refusal):
            raise
        return True
    return False
