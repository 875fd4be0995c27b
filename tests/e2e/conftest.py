"""What every end-to-end test stands on: a real node, and the operator in it as a pod of the built image.

`make test-e2e` brings the node up, loads the images and installs the operator. Where there is none, the run is refused
with a line that says so: an end-to-end test is never skipped.
"""

import itertools
from collections.abc import Callable, Iterator

import pytest

from demo.install import DEPLOYMENT, SYSTEM_NAMESPACE
from demo.kubectl import Kubectl, KubectlError, Manifest
from support.waiting import CLUSTER_DEADLINE

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}

NODE_SECONDS = 120
"""How long a node that is there may be busy, before the run is refused."""

NewNamespace = Callable[[str], Kubectl]
"""Makes a namespace with that prefix, and returns kubectl within it."""


def wait_until_finished(kubectl: Kubectl, name: str) -> Manifest:
    """Wait for the end of an evaluation as a pipeline does, and return it."""
    timeout = f"--timeout={CLUSTER_DEADLINE:.0f}s"
    kubectl.run("wait", "--for=condition=Finished", f"sidecarevaluation/{name}", timeout)
    return kubectl.read("sidecarevaluation", name)


@pytest.fixture(scope="session")
def node() -> Kubectl:
    """Return the cluster, or refuse the whole run."""
    try:
        kubectl = Kubectl.of_cluster()
        kubectl.run("wait", "--for=condition=Ready", "node", "--all", f"--timeout={NODE_SECONDS}s")
    except (KubectlError, OSError) as error:
        pytest.exit(f"end-to-end tests refused: no running cluster ({error}); `make test-e2e` brings it up", 3)
    return kubectl


@pytest.fixture(scope="session")
def cluster_with_operator(node: Kubectl) -> Kubectl:
    """Return the cluster with the operator of the built image running in it, as `make deploy` leaves it."""
    node.within(SYSTEM_NAMESPACE).run("rollout", "status", DEPLOYMENT, f"--timeout={CLUSTER_DEADLINE:.0f}s")
    return node


@pytest.fixture(scope="module")
def new_namespace(cluster_with_operator: Kubectl) -> Iterator[NewNamespace]:
    """Make restricted namespaces, and remove them when the module's tests are done."""
    numbers = itertools.count()
    names: list[str] = []

    def make(prefix: str) -> Kubectl:
        name = f"e2e-{prefix}-{next(numbers)}"
        metadata = {"name": name, "labels": RESTRICTED}
        timeout = f"--timeout={CLUSTER_DEADLINE:.0f}s"
        cluster_with_operator.run("delete", "namespace", name, "--ignore-not-found", "--wait", timeout)
        cluster_with_operator.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        names.append(name)
        return cluster_with_operator.within(name)

    yield make
    cluster_with_operator.run("delete", "namespace", "--wait=false", "--ignore-not-found", *names)
