"""`make demo` and `make deploy`: install the operator, train a small model, watch its checkpoints being scored.

The cluster is up and the images are loaded when this starts. It must end by itself: with 0 when the evaluation is
Finished and Succeeded, else non-zero with the reason.
"""

import sys
from pathlib import Path

from demo.follow import Screen, follow
from demo.install import DEMO, SYSTEM_NAMESPACE, install_demo, install_operator
from demo.kubectl import Kubectl, KubectlError, Manifest
from demo.steps import step
from demo.table import condition_lines, headline, is_true

NAME = "digits"
SECONDS = 1800.0


def run_demo(kubectl: Kubectl) -> None:
    """Take every step of the demo in turn; raise what goes wrong."""
    with step("installing the operator"):
        install_operator(kubectl)
    with step("applying a training Job and its SidecarEvaluation (deploy/samples/demo)"):
        install_demo(kubectl)
    demo = kubectl.within(DEMO)
    evaluation, screen = follow(demo, NAME, SECONDS)
    print_ending(demo, evaluation, screen)
    if not is_true(evaluation["status"], "Succeeded"):
        raise RuntimeError(headline(evaluation["status"]))


def print_ending(kubectl: Kubectl, evaluation: Manifest, screen: Screen) -> None:
    """Print the conditions, a sample of /metrics and the commands to look further."""
    print("\nConditions:", *condition_lines(evaluation["status"]), sep="\n")
    print("\nFrom the evaluator pod's /metrics, while it ran:", *(f"  {line}" for line in screen.metrics), sep="\n")
    print("\n$ kubectl get sidecarevaluations --namespace", DEMO)
    print(kubectl.run("get", "sidecarevaluations"))
    print("To look further:")
    if kubectl.kubeconfig:
        print(f"  export KUBECONFIG={kubectl.kubeconfig} PATH={Path(kubectl.program).parent}:$PATH")
    print(f"  kubectl --namespace {DEMO} describe sidecarevaluation {NAME}")
    print(f"  kubectl --namespace {DEMO} logs --selector sidecareval.dev/name={NAME}")
    print(f"  kubectl --namespace {SYSTEM_NAMESPACE} logs deployment/sidecar-operator")
    print("  make cluster-down    # when you are done")


def main() -> int:
    """Run the demo, or only the installation when called with `install`; return the exit code."""
    kubectl = Kubectl.of_cluster()
    try:
        if sys.argv[1:] == ["install"]:
            install_operator(kubectl)
        else:
            run_demo(kubectl)
    except (KubectlError, TimeoutError, RuntimeError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
