"""A real API server with the whole of deploy/base installed in it, and an empty namespace for each test.

    def test_something(server: ApiServer, evaluations: Evaluations) -> None: ...

etcd and kube-apiserver are the real programs, and so are RBAC, admission and both policies. There are no
controllers: no Job makes pods, nothing is collected, and aggregated ClusterRoles stay empty.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.api_server import ApiServer
from cluster.errors import ClusterError
from cluster.processes import poll
from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings
from demo.kubectl import Kubectl
from integration.evaluations import API_VERSION, Evaluations

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Return a running API server with deploy/base applied by kubectl, as a user would do it."""
    with ApiServer.start(tmp_path_factory.mktemp("api-server")) as server:
        kubectl_of(server).within("sidecar-system").apply_folder(DEPLOY / "base")
        server.create_service_account("default", "sidecar-system")
        wait_until_served(server)
        yield server


@pytest.fixture
def namespace(server: ApiServer) -> str:
    """Return the name of a fresh namespace that admits restricted pods only."""
    name = f"team-{next(NUMBERS)}"
    server.create_namespace(name, {"pod-security.kubernetes.io/enforce": "restricted"})
    return name


@pytest.fixture
def kubectl(server: ApiServer, namespace: str) -> Kubectl:
    """Return kubectl as the administrator, within the test's namespace."""
    return kubectl_of(server).within(namespace)


@pytest.fixture
def evaluations(server: ApiServer, namespace: str) -> Evaluations:
    """Return the SidecarEvaluations of the test's namespace, as the administrator sees them."""
    return Evaluations(server.client, namespace)


def kubectl_of(server: ApiServer) -> Kubectl:
    """Return the pinned kubectl for this server."""
    program = Programs.of(Settings.from_environment().cache, Progress()).built("kubectl")
    return Kubectl(str(program), str(server.kubeconfig))


def wait_until_served(server: ApiServer, seconds: float = 20.0) -> None:
    """Return once the API server serves the resource: a definition just applied takes a moment."""
    if not poll(lambda: server.client.answers(f"/apis/{API_VERSION}/sidecarevaluations"), seconds):
        raise ClusterError("sidecarevaluations are not served; is crds/sidecarevaluations.yaml valid?")
