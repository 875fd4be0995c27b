"""Install the operator, and the demo's own manifests, as a user would: with kubectl and the folders under deploy/.

`make demo`, `make deploy` and the end-to-end tests call these. They apply what is in the repository and add nothing.
"""

from pathlib import Path

from demo.kubectl import Kubectl

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DEMO = "sidecar-demo"
"""The namespace of the demo's manifests."""

SYSTEM_NAMESPACE = "sidecar-system"
DEPLOYMENT = "deployment/sidecar-operator"


def install_operator(kubectl: Kubectl) -> None:
    """Apply deploy/base and wait until the operator of the images just loaded is available."""
    system = kubectl.within(SYSTEM_NAMESPACE)
    installed = system.find(DEPLOYMENT) is not None
    system.apply_folder(DEPLOY / "base")
    if installed:  # the tag is the same for every build, so that only a restart takes the new image
        system.run("rollout", "restart", DEPLOYMENT)
    system.run("rollout", "status", DEPLOYMENT, "--timeout=180s")


def install_demo(kubectl: Kubectl) -> None:
    """Apply the training Job and its SidecarEvaluation, after removing those of an earlier demo."""
    kubectl.run("delete", "namespace", DEMO, "--ignore-not-found", "--wait", "--timeout=120s")
    kubectl.within(DEMO).apply_folder(DEPLOY / "samples" / "demo")
