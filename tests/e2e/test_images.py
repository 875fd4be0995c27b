"""The built images, from inside a restricted pod: who they run as, what they can write, and what is not in them."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from demo.kubectl import Kubectl, Manifest, wait_for
from e2e.conftest import RESTRICTED
from support.waiting import CLUSTER_DEADLINE

IMAGES = ("sidecar-operator", "sidecar-evaluator")
INSPECTION = """
import json, os, pathlib, shutil
tools = ["uv", "cc", "c++", "gcc", "g++", "clang", "ld", "as", "make"]
caches = [folder for name in ("pip", "uv") for folder in pathlib.Path("/").glob(f"*/.cache/{name}")]
writable = [str(path) for path in pathlib.Path("/opt").rglob("*") if not path.is_symlink() and path.stat().st_mode & 2]
try:
    pathlib.Path("/opt/venv/written").touch()
    root = "writable"
except OSError as error:
    root = error.strerror
pathlib.Path("/tmp/written").touch()
print(json.dumps({
    "user": [os.getuid(), os.getgid()], "root": root, "safe": os.environ.get("PYTHONSAFEPATH"),
    "tools": [tool for tool in tools if shutil.which(tool)], "caches": [str(path) for path in caches],
    "world_writable": writable, "home": os.path.expanduser("~"),
}))
"""


@pytest.fixture(scope="module")
def namespace(node: Kubectl) -> Iterator[Kubectl]:
    """Return a restricted namespace of a cluster that needs no operator for this."""
    metadata: Manifest = {"name": f"e2e-images-{uuid4().hex[:6]}", "labels": RESTRICTED}
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield node.within(metadata["name"])
    node.run("delete", "namespace", "--wait=false", metadata["name"])


def pod(name: str, image: str, **container: object) -> Manifest:
    """Return a pod of the restricted profile that leaves the user to the image."""
    security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    main = {
        "name": "main",
        "image": f"docker.io/library/{image}:dev",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": security,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        **container,
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [main],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def run(kubectl: Kubectl, manifest: Manifest) -> tuple[int, str]:
    """Run a pod to its end and return its exit code and output."""
    name = manifest["metadata"]["name"]
    kubectl.apply(manifest)

    def ended() -> Manifest | None:
        statuses = kubectl.read("pod", name)["status"].get("containerStatuses", [{}])
        state: Manifest = statuses[0].get("state", {})
        return state.get("terminated")

    return wait_for(f"pod {name}", ended, CLUSTER_DEADLINE)["exitCode"], kubectl.run("logs", name)


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_can_be_written_and_nothing_of_the_build_is_left(image: str, namespace: Kubectl) -> None:
    code, printed = run(namespace, pod(f"inspect-{image}", image, command=["python", "-c", INSPECTION]))
    assert code == 0, printed
    assert json.loads(printed) == {
        "user": [65532, 65532],
        "root": "Read-only file system",
        "safe": "1",
        "tools": [],
        "caches": [],
        "world_writable": [],
        "home": "/tmp",
    }


def test_the_evaluator_starts_and_explains_itself(namespace: Kubectl) -> None:
    code, printed = run(namespace, pod("help", "sidecar-evaluator", args=["run", "--help"]))
    assert code == 0, printed
    assert "--checkpoint-dir" in printed


def test_the_evaluator_has_tensorflow_keras_3_and_tf_keras(namespace: Kubectl) -> None:
    script = "import tensorflow, keras, tf_keras, tensorboard; tensorflow.summary.create_file_writer('/tmp/logs')"
    code, printed = run(namespace, pod("imports", "sidecar-evaluator", command=["python", "-c", script]))
    assert code == 0, printed


def test_the_operator_starts_and_names_what_it_lacks(namespace: Kubectl) -> None:
    code, printed = run(namespace, pod("operator", "sidecar-operator"))
    assert code == 2, printed
    assert "EVALUATOR_IMAGE" in printed
