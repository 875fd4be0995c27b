"""The built images, from inside a restricted pod: who they run as, what they can write, and what is not in them."""

import json

import pytest

from demo.kubectl import Kubectl, Manifest, wait_for
from e2e.conftest import NewNamespace

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

    return wait_for(f"pod {name}", ended, 120)["exitCode"], kubectl.run("logs", name)


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_can_be_written_and_nothing_of_the_build_is_left(image: str, new_namespace: NewNamespace) -> None:
    code, printed = run(new_namespace("images"), pod("inspection", image, command=["python", "-c", INSPECTION]))
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


def test_the_evaluator_starts_and_explains_itself(new_namespace: NewNamespace) -> None:
    code, printed = run(new_namespace("images"), pod("help", "sidecar-evaluator", args=["run", "--help"]))
    assert code == 0, printed
    assert "--checkpoint-dir" in printed


def test_the_evaluator_has_tensorflow_and_both_kerases(new_namespace: NewNamespace) -> None:
    script = "import tensorflow, keras, tf_keras, tensorboard; tensorflow.summary.create_file_writer('/tmp/logs')"
    code, printed = run(new_namespace("images"), pod("imports", "sidecar-evaluator", command=["python", "-c", script]))
    assert code == 0, printed


def test_the_operator_starts_and_names_what_it_lacks(new_namespace: NewNamespace) -> None:
    code, printed = run(new_namespace("images"), pod("operator", "sidecar-operator"))
    assert code == 2, printed
    assert "EVALUATOR_IMAGE" in printed
