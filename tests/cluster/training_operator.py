"""The real Kubeflow training-operator in the running cluster, so that tests and demo follow a real TFJob.

Its program is built like every other, its image made from that one file, its manifests taken from the very
module that it was built from; only the image's name is another.
"""

import json
import re

from cluster.errors import ClusterError
from cluster.images import write_archive
from cluster.node import Node
from cluster.processes import poll

PROGRAM = "training-operator"
NAMESPACE = "kubeflow"
READY_SECONDS = 600.0
PROBE = {  # taken only by a webhook that works
    "apiVersion": "kubeflow.org/v1",
    "kind": "TFJob",
    "metadata": {"name": "probe", "namespace": "default"},
    "spec": {
        "tfReplicaSpecs": {
            "Chief": {"replicas": 1, "template": {"spec": {"containers": [{"name": "tensorflow", "image": "none"}]}}}
        }
    },
}


def install(node: Node) -> None:
    """Build, load and apply it, and return when a TFJob is accepted."""
    built = node.programs.built(PROGRAM)
    image = f"localhost/{PROGRAM}:{built.parent.name.removeprefix(f'{PROGRAM}-')}"
    if image not in node.containerd.digests():
        node.progress.say(f"loading {image}")
        archive = write_archive(node.settings.state / f"{PROGRAM}.tar", image, built, "/manager")
        node.containerd.load(archive)
        archive.unlink()
    elif installed(node, image):
        node.progress.say("the training-operator takes jobs already")
        return
    node.progress.say("applying the training-operator")
    overlay = node.programs.module_folder(PROGRAM) / "manifests" / "overlays" / "standalone"
    node.kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        "-",
        stdin=renamed(node.kubectl("kustomize", str(overlay)), image),
    )
    if not poll(lambda: accepts(node), READY_SECONDS, 0.5):
        raise ClusterError(
            f"the training-operator took no TFJob within {READY_SECONDS:.0f} s",
            f"kubectl -n {NAMESPACE} describe pods; kubectl -n {NAMESPACE} logs deployment/{PROGRAM}",
        )
    node.progress.say("the training-operator takes jobs")


def installed(node: Node, image: str) -> bool:
    """Say whether this very image is deployed and takes jobs."""
    path = "jsonpath={.items[*].spec.template.spec.containers[*].image}"
    return image in node.kubectl("--namespace", NAMESPACE, "get", "deployments", "--output", path) and accepts(node)


def accepts(node: Node) -> bool:
    """Say whether a TFJob would be created now."""
    try:
        node.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(PROBE))
    except ClusterError:
        return False
    return True


def renamed(manifests: str, image: str) -> str:
    """Return the manifests with the published image replaced; ClusterError unless it is there once."""
    replaced, count = re.subn(rf"image: \S+/{PROGRAM}:\S+", f"image: {image}", manifests)
    if count != 1:
        raise ClusterError(f"the manifests name the image of {PROGRAM} {count} times, not once")
    return replaced
