"""A real API server with the whole of deploy/base installed in it, and an empty namespace for each test.

    def test_something(server: ApiServer, evaluations: Evaluations) -> None: ...

etcd and kube-apiserver are the real programs, and so are RBAC, admission and both policies. There are no
controllers: no Job makes pods, nothing is collected, and aggregated ClusterRoles stay empty.
"""

import itertools
from collections.abc import Iterator

import pytest

from cluster.api_server import ApiServer
from demo.kubectl import Kubectl
from integration.evaluations import Evaluations
from integration.installed import installed_server, kubectl_of

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Return a running API server with deploy/base applied by kubectl, as a user would do it."""
    with installed_server(tmp_path_factory.mktemp("api-server")) as server:
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
