"""Install the operator, and the demo's own manifests, as a user would: with kubectl and the folders under deploy/.

`make demo`, `make deploy` and the end-to-end tests call these. They apply what is in the repository and add nothing.
"""

from pathlib import Path

from demo.kubectl import Kubectl, KubectlError

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
    try:
        system.run("rollout", "status", DEPLOYMENT, "--timeout=300s")
    except KubectlError as error:
        raise KubectlError(f"{error}\nthe operator's last words: {last_words(system)}") from error


def last_words(system: Kubectl) -> str:
    """Return the end of the operator's log, or why there is none."""
    try:
        return system.run("logs", DEPLOYMENT, "--tail=5").strip() or "none"
    except KubectlError as error:
        return str(error)


def install_demo(kubectl: Kubectl) -> None:
    """Apply the training Job and its SidecarEvaluation, after removing those of an earlier demo."""
    kubectl.run("delete", "namespace", DEMO, "--ignore-not-found", "--wait", "--timeout=300s")
    kubectl.within(DEMO).apply_folder(DEPLOY / "samples" / "demo")
