"""An evaluation that has ended badly is run again once its cause is mended, with what failed, on a real node."""

from datetime import UTC, datetime

from demo import table
from demo.kubectl import Manifest, wait_for
from e2e import scoring
from e2e.conftest import NewNamespace, wait_until_finished
from e2e.test_bad_input import CLAIM, Mistake, code, evaluation
from e2e.test_training_order import write_checkpoint
from support.waiting import CLUSTER_DEADLINE

NAME = "again"


def wrong_code() -> Manifest:
    """Return a ConfigMap whose model is not the one that was trained."""
    manifest = code()
    manifest["data"]["digits.py"] = manifest["data"]["digits.py"].replace("layers.Dense(10)", "layers.Dense(11)")
    return manifest


def test_a_checkpoint_that_failed_is_tried_again_with_the_corrected_code(new_namespace: NewNamespace) -> None:
    kubectl = new_namespace(NAME)
    kubectl.apply(CLAIM)
    kubectl.apply(wrong_code())
    wait_for("the claim bound", lambda: kubectl.read("pvc", "runs")["spec"].get("volumeName"), CLUSTER_DEADLINE)
    write_checkpoint(kubectl)
    kubectl.apply(evaluation(NAME, Mistake("", "")))
    failed = wait_until_finished(kubectl, NAME)
    assert table.headline(failed["status"]).startswith("NoEvaluation:"), scoring.as_json(failed)
    assert failed["status"]["results"]["counts"]["failed"] == 1
    kubectl.apply(code())
    restarted_at = f"sidecareval.dev/restartedAt={datetime.now(UTC).isoformat(timespec='seconds')}"
    kubectl.run("annotate", "sidecarevaluation", NAME, restarted_at, "--overwrite")
    timeout = f"--timeout={CLUSTER_DEADLINE:.0f}s"
    kubectl.run("wait", "--for=condition=Finished=False", f"sidecarevaluation/{NAME}", timeout)
    finished = wait_until_finished(kubectl, NAME)
    assert table.is_true(finished["status"], "Succeeded"), scoring.as_json(finished)
    counts = finished["status"]["results"]["counts"]
    assert (counts["evaluated"], counts.get("failed", 0)) == (1, 0), scoring.as_json(finished)
