"""Pods in which another container never ends, as a service mesh injects it: the evaluator's own end decides."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from demo import table
from demo.follow import PODS
from demo.kubectl import Kubectl, Manifest, wait_for
from e2e import scoring
from e2e.conftest import NewNamespace, wait_until_finished
from e2e.test_bad_input import CLAIM, Mistake, code, evaluation
from e2e.test_training_order import write_checkpoint
from support.waiting import CLUSTER_DEADLINE

POLICY = "e2e-inject-proxy"
GPU: dict[str, Any] = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
PROXY = """[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{
  name: "proxy", image: "sidecar-evaluator:dev", command: ["python", "-c", "import time; time.sleep(1000000)"],
  securityContext: Object.spec.containers.securityContext{
    allowPrivilegeEscalation: false, capabilities: Object.spec.containers.securityContext.capabilities{drop: ["ALL"]}}
}}]"""


def injection(namespace: str) -> list[Manifest]:
    """Return a policy that adds a container that never ends to each pod of a namespace."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    header = {"apiVersion": "admissionregistration.k8s.io/v1beta1", "metadata": {"name": POLICY}}
    spec = {
        "matchConstraints": {"resourceRules": rules, "namespaceSelector": selector},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": PROXY}}],
    }
    policy = header | {"kind": "MutatingAdmissionPolicy", "spec": spec}
    return [policy, header | {"kind": "MutatingAdmissionPolicyBinding", "spec": {"policyName": POLICY}}]


def probe() -> Manifest:
    """Return a pod that is only asked for, never created."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "probe", "image": "sidecar-evaluator:dev", "securityContext": security}
    pod_security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": pod_security}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}


def is_injected(kubectl: Kubectl) -> bool | None:
    """Tell whether the policy is in force: the API server takes a moment."""
    answer = kubectl.run("create", "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(probe()))
    return len(json.loads(answer)["spec"]["containers"]) == 2 or None


@pytest.fixture(scope="module")
def namespace(new_namespace: NewNamespace) -> Iterator[Kubectl]:
    kubectl = new_namespace("beside")
    kubectl.apply(CLAIM)
    kubectl.apply(code())
    wait_for("the claim bound", lambda: kubectl.read("pvc", "runs")["spec"].get("volumeName"), CLUSTER_DEADLINE)
    write_checkpoint(kubectl)
    for manifest in injection(kubectl.namespace):
        kubectl.apply(manifest)
    wait_for("the policy in force", lambda: is_injected(kubectl), CLUSTER_DEADLINE)
    yield kubectl
    for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
        kubectl.run("delete", kind, POLICY, "--ignore-not-found")


def is_stopped(kubectl: Kubectl, name: str) -> bool | None:
    """Tell whether neither Job nor pod of an evaluation is left."""
    selector = PODS.format(name=name)
    return not (kubectl.items("pods", selector) or kubectl.items("jobs", selector)) or None


def test_a_good_end_counts_and_the_gpu_is_free_again(namespace: Kubectl) -> None:
    name = "good"
    namespace.apply(evaluation(name, Mistake("", "", evaluator=GPU)))
    finished = wait_until_finished(namespace, name)
    assert table.is_true(finished["status"], "Succeeded"), scoring.as_json(finished)
    assert finished["status"]["results"]["counts"]["evaluated"] == 1
    wait_for("Job and pod deleted", lambda: is_stopped(namespace, name), CLUSTER_DEADLINE)
    assert table.is_true(namespace.read("sidecarevaluation", name)["status"], "Succeeded")


def test_a_bad_end_counts_and_says_why(namespace: Kubectl) -> None:
    name = "bad"
    namespace.apply(evaluation(name, Mistake("", "", evaluator={"entrypoint": "nowhere:build"})))
    finished = wait_until_finished(namespace, name)
    assert table.headline(finished["status"]).startswith("ConfigurationError:"), scoring.as_json(finished)
    wait_for("Job and pod deleted", lambda: is_stopped(namespace, name), CLUSTER_DEADLINE)


def test_a_deleted_pod_is_replaced_and_no_failure_of_its_job(new_namespace: NewNamespace) -> None:
    kubectl, name = new_namespace("deleted"), "deleted"
    kubectl.apply(CLAIM)
    kubectl.apply(code())
    manifest = evaluation(name, Mistake("", ""))
    del manifest["spec"]["completion"]
    kubectl.apply(manifest)

    def ready_pod() -> str | None:
        pods = kubectl.items("pods", PODS.format(name=name), "--field-selector=status.phase=Running")
        running = (pod for pod in pods if "deletionTimestamp" not in pod["metadata"])
        started = (pod for pod in running if pod["status"]["containerStatuses"][0].get("started"))
        return next((pod["metadata"]["name"] for pod in started), None)

    first = wait_for("a pod that runs", ready_pod, CLUSTER_DEADLINE)
    kubectl.run("delete", "pod", first)
    wait_for("another pod that runs", ready_pod, CLUSTER_DEADLINE)
    (job,) = kubectl.items("jobs", PODS.format(name=name))
    assert not job["status"].get("failed"), job["status"]
