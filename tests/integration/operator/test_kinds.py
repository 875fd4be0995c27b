"""Kinds of training belong to others: one that comes, breaks, changes or goes concerns its followers alone."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster.api_server import ApiServer
from cluster.client import Client, Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import Node
from integration.operator.process import OperatorProcess
from integration.operator.test_training import conditions, until_training
from support.waiting import until

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
MERGE_PATCH = "application/merge-patch+json"
UNREACHABLE: Object = {
    "strategy": "Webhook",
    "webhook": {"clientConfig": {"url": "https://127.0.0.1:1/convert"}, "conversionReviewVersions": ["v1"]},
}
MENDED: Object = {"strategy": "None", "webhook": None}
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Machines:
    """A kind of training with two versions, in a group of its own; objects are stored in v1."""

    client: Client
    group: str
    namespace: str

    @property
    def ref(self) -> Object:
        """What a resource names: the version in which nothing is stored."""
        return {"apiVersion": f"{self.group}/v2", "kind": "Machine", "name": "train"}

    @property
    def definition(self) -> str:
        """The path of the definition."""
        return f"{DEFINITIONS}/machines.{self.group}"

    def install(self) -> None:
        """Create the definition and wait until both versions are served."""
        names = {"kind": "Machine", "plural": "machines"}
        spec = {"group": self.group, "scope": "Namespaced", "names": names, "versions": self._versions()}
        self.client.post(DEFINITIONS, {"metadata": {"name": f"machines.{self.group}"}, "spec": spec})
        until(lambda: self.client.answers(f"/apis/{self.group}/v2/machines"))

    def serve(self, **served: bool) -> None:
        """Serve these versions only."""
        self._change({"versions": self._versions(**served)})

    def convert(self, conversion: Object) -> None:
        """Convert between the versions in this way."""
        self._change({"conversion": conversion})

    def create(self) -> str:
        """Create a training that runs; return its uid."""
        named = {"apiVersion": f"{self.group}/v1", "kind": "Machine", "metadata": {"name": "train"}}
        uid: str = self.client.post(self._objects, named | conditions("Running", "runs"))["metadata"]["uid"]
        return uid

    def end(self) -> None:
        """Report that the training has succeeded."""
        self.client.request("PATCH", f"{self._objects}/train", conditions("Succeeded", "well done"), MERGE_PATCH)

    @property
    def _objects(self) -> str:
        return f"/apis/{self.group}/v1/namespaces/{self.namespace}/machines"

    def _change(self, spec: Object) -> None:
        self.client.request("PATCH", self.definition, {"spec": spec}, MERGE_PATCH)

    def _versions(self, **served: bool) -> list[Object]:
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        return [
            {"name": name, "served": served.get(name, True), "storage": name == "v1", "schema": schema}
            for name in ("v1", "v2")
        ]


@pytest.fixture
def machines(server: ApiServer, node: Node) -> Iterator[Machines]:
    """Install the kind, readable for the operator."""
    number = next(NUMBERS)
    kind = Machines(server.client, f"m{number}.example.dev", node.namespace)
    rules = [{"apiGroups": [kind.group], "resources": ["machines"], "verbs": ["get", "list", "watch"]}]
    name = {"name": f"machines-{number}"}
    server.client.post(f"{RBAC}/clusterroles", {"metadata": name, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **name}
    subject = {"kind": "ServiceAccount", "name": "sidecar-operator", "namespace": "sidecar-system"}
    server.client.post(f"{RBAC}/clusterrolebindings", {"metadata": name, "roleRef": role, "subjects": [subject]})
    kind.install()
    yield kind
    kind.convert(MENDED)
    server.client.request("DELETE", kind.definition)


@pytest.fixture
def followed(machines: Machines, evaluations: Evaluations, watcher: Watcher) -> Machines:
    """Let mnist follow a training of the kind that runs."""
    machines.create()
    evaluations.create({"trainingRef": machines.ref})
    until_training(watcher, "Running")
    return machines


def test_a_kind_that_breaks_keeps_only_its_followers_waiting(
    followed: Machines, evaluations: Evaluations, watcher: Watcher, node: Node, operator: OperatorProcess
) -> None:
    followed.convert(UNREACHABLE)
    unreadable = watcher.until("TrainingFinished", "Unknown", "TrainingUnreadable")
    assert "conversion webhook" in unreadable["message"]
    assert watcher.status()["training"]["state"] == "Running"
    assert operator.stop() == 0
    operator.start()
    evaluations.create(name="other")
    watcher.until("Ready", "False", "EvaluatorStarting", "other")
    followed.convert(MENDED)
    watcher.until("TrainingFinished", "False", "TrainingRunning")
    followed.end()
    until_training(watcher, "Succeeded")


def test_a_version_that_is_no_longer_served_is_followed_in_another(followed: Machines, watcher: Watcher) -> None:
    followed.serve(v2=False)
    followed.end()
    assert until_training(watcher, "Succeeded")["message"] == "Machine train succeeded: well done"


def test_a_kind_that_is_not_served_keeps_the_last_state(followed: Machines, watcher: Watcher) -> None:
    followed.serve(v1=False, v2=False)
    unknown = watcher.until("TrainingFinished", "Unknown", "TrainingKindUnknown")
    assert "its last state, Running, is kept" in unknown["message"]
    assert watcher.status()["training"]["state"] == "Running"
    followed.serve()
    watcher.until("TrainingFinished", "False", "TrainingRunning")


def test_a_kind_whose_definition_is_deleted_ends_nothing_else(
    followed: Machines, evaluations: Evaluations, watcher: Watcher, operator: OperatorProcess
) -> None:
    process = operator.process
    followed.client.request("DELETE", followed.definition)
    until(lambda: not followed.client.answers(f"/apis/{followed.group}/v1/machines"))
    evaluations.create(name="other")
    watcher.until("Ready", "False", "EvaluatorStarting", "other")
    followed.install()
    uid = followed.create()
    watcher.until_true(lambda: watcher.status()["training"].get("uid") == uid)
    until_training(watcher, "Running")
    assert operator.process is process
    assert process is not None
    assert process.poll() is None
