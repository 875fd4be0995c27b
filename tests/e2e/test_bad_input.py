"""What users get wrong, on a real node: each mistake ends in words that tell it, where the user looks first."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo import table
from demo.follow import PODS
from demo.install import DEPLOY
from demo.kubectl import Kubectl, KubectlError, Manifest, wait_for
from e2e import scoring
from e2e.conftest import NewNamespace
from support.waiting import CLUSTER_DEADLINE

SAMPLE = DEPLOY / "samples" / "demo"
WRONG = """
def returns_text():
    return "an evaluation"


def raises():
    raise ValueError("no data at /data/val")


def fills_disk():
    import time

    with open("/tmp/data", "wb") as file:
        file.write(bytes(64 << 20))
    time.sleep(600)
"""


@dataclass(frozen=True)
class Mistake:
    """A spec that differs from a good one, and what is to be read about it."""

    reason: str
    words: str
    path: str = "good"
    evaluator: dict[str, Any] = field(default_factory=dict)
    claim: str = "runs"
    outcome: str = ""
    """Expected reason of the newest entry in the history."""
    completion: dict[str, int] = field(default_factory=lambda: {"noCheckpointTimeoutSeconds": 3})


def entry(name: str) -> dict[str, Any]:
    return {"entrypoint": name}


TERMINAL = {
    "module-missing": Mistake(
        "ConfigurationError", "nowhere of the entry point is not found", evaluator=entry("nowhere:build")
    ),
    "returns-text": Mistake("ConfigurationError", "returned str", evaluator=entry("wrong:returns_text")),
    "raises": Mistake("ConfigurationError", "no data at /data/val", evaluator=entry("wrong:raises")),
    "no-iterations": Mistake("ConfigurationError", "`iterations` cannot be loaded", path="bare"),
    "other-model": Mistake("NoEvaluation", "no checkpoint could be evaluated", path="other", outcome="Incompatible"),
    "half-written": Mistake("NoEvaluation", "no checkpoint could be evaluated", path="torn", outcome="Unreadable"),
    "unreadable": Mistake("ConfigurationError", "permission denied", path="locked"),
    "absent": Mistake("NoEvaluation", "none is complete", path="nowhere"),
    "shadowing": Mistake(
        "ConfigurationError",
        "The file types.py in /code has the name of Python's own module types",
        evaluator={"code": {"configMap": {"name": "shadowing"}}},
    ),
}
SMALL = {"resources": {"limits": {"memory": "128Mi"}}}
FULL = {"resources": {"limits": {"ephemeral-storage": "8Mi"}}}
WAITING = {
    "no-memory": Mistake("EvaluatorCrashed", "OOMKilled, it used more memory than it may", evaluator=SMALL),
    "no-disk": Mistake(
        "EvaluatorCrashed", "raise ephemeral-storage in spec.evaluator", evaluator=entry("wrong:fills_disk") | FULL
    ),
    "no-image": Mistake("ImageNotPulled", "no-such-image", evaluator={"image": "localhost/no-such-image:1"}),
    "no-claim": Mistake("ClaimNotFound", "no-such-claim does not exist", claim="no-such-claim"),
    "no-gpu": Mistake("Unschedulable", "nvidia.com/gpu", evaluator={"resources": {"limits": {"nvidia.com/gpu": "2"}}}),
    "misspelt": Mistake(
        "DirectoryMissing", "/checkpoints/godo does not exist; /checkpoints holds", path="godo", completion={}
    ),
    "dangling": Mistake("DirectoryMissing", "latest is a link to run-9", path="latest", completion={}),
    "denied": Mistake("CheckpointsUnreadable", "(mode 0600, owner 0, group 0)", path="denied", completion={}),
    "no-code": Mistake("CodeNotFound", "no-such-code", evaluator={"code": {"configMap": {"name": "no-such-code"}}}),
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "runs"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


@pytest.fixture(scope="module")
def namespace(new_namespace: NewNamespace) -> Iterator[Kubectl]:
    """Apply all mistakes at once: most of the time is spent waiting."""
    kubectl = new_namespace("bad-input")
    kubectl.apply(CLAIM)
    kubectl.apply(code())
    shadowing = code()["data"] | {"types.py": "raise SystemExit(1)"}
    kubectl.apply(code() | {"metadata": {"name": "shadowing"}, "data": shadowing})
    wait_for("the claim bound", lambda: kubectl.read("pvc", "runs")["spec"].get("volumeName"), CLUSTER_DEADLINE)
    folder = scoring.claim_folder(kubectl, "runs")
    write_checkpoints(folder)
    for name, mistake in (TERMINAL | WAITING).items():
        kubectl.apply(evaluation(name, mistake))
    yield kubectl
    (folder / "locked").chmod(0o755)


def code() -> Manifest:
    files = {name: (SAMPLE / name).read_text() for name in ("digits.py", "evaluate.py")}
    metadata = {"name": "code"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files | {"wrong.py": WRONG}}


def evaluation(name: str, mistake: Mistake) -> Manifest:
    good = {"entrypoint": "evaluate:build", "code": {"configMap": {"name": "code"}}}
    source = {"persistentVolumeClaim": {"claimName": mistake.claim}}
    spec = {
        "checkpoints": {"source": source, "path": mistake.path},
        "evaluator": {**good, "parameters": parameters(mistake), **mistake.evaluator},
        "completion": mistake.completion,
    }
    metadata = {"name": name}
    return {"apiVersion": "sidecareval.dev/v1alpha1", "kind": "SidecarEvaluation", "metadata": metadata, "spec": spec}


def parameters(mistake: Mistake) -> list[dict[str, str]]:
    return [] if "entrypoint" in mistake.evaluator else [{"name": "images", "value": "64"}]


def write_checkpoints(folder: Path) -> None:
    """Write what a training might leave: good, of another model, without iterations, half of one, a locked folder."""
    import keras
    import tensorflow as tf

    digits = scoring.load_module(SAMPLE / "digits.py")
    model = digits.build_model()
    model.optimizer.build(model.trainable_variables)
    other = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    uncompiled = keras.Sequential([keras.Input((28, 28, 1)), *model.layers])
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / "good" / "ckpt-1"))
    tf.train.Checkpoint(model=other, optimizer=model.optimizer).write(str(folder / "other" / "ckpt-1"))
    tf.train.Checkpoint(model=uncompiled).write(str(folder / "bare" / "ckpt-1"))
    torn = tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / "torn" / "ckpt-1"))
    data = Path(f"{torn}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    (folder / "locked").mkdir(mode=0o700)
    (folder / "latest").symlink_to("run-9")
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / "denied" / "ckpt-1"))
    for path in (folder / "denied").iterdir():
        path.chmod(0o600)


def wait_for_reason(kubectl: Kubectl, name: str, reason: str, *, finished: bool) -> Manifest:
    """Wait until Ready has the reason, and Finished comes with it; fail with what it has instead."""
    seen = ""

    def look() -> Manifest | None:
        nonlocal seen
        resource = kubectl.read("sidecarevaluation", name)
        seen = table.headline(resource.get("status", {}))
        ended = table.is_true(resource.get("status", {}), "Finished")
        return resource if seen.startswith(f"{reason}:") and ended == finished else None

    try:
        return wait_for(name, look, CLUSTER_DEADLINE)
    except TimeoutError:
        pytest.fail(f"{name}: expected {reason}, still {seen}")


@pytest.mark.parametrize("name", WAITING)
def test_what_may_heal_is_told_and_waited_for(namespace: Kubectl, name: str) -> None:
    mistake = WAITING[name]
    resource = wait_for_reason(namespace, name, mistake.reason, finished=False)
    assert mistake.words in table.headline(resource["status"])
    assert not table.is_true(resource["status"], "Stalled")


@pytest.mark.parametrize("name", TERMINAL)
def test_what_cannot_heal_ends_once_and_says_why(namespace: Kubectl, name: str) -> None:
    mistake = TERMINAL[name]
    resource = wait_for_reason(namespace, name, mistake.reason, finished=True)
    assert mistake.words in table.headline(resource["status"]), scoring.as_json(resource)
    assert table.is_true(resource["status"], "Stalled")
    assert len(namespace.items("pods", PODS.format(name=name))) == 1, "it was tried again"
    history = resource["status"].get("results", {}).get("history", [])
    assert [one.get("reason") for one in history] == ([mistake.outcome] if mistake.outcome else [])
    events = namespace.items("events", f"--field-selector=involvedObject.name={name},reason={mistake.reason}")
    assert events


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": {"persistentVolumeClaim": {"claimName": "a"}, "gcs": {"bucket": "bbb"}}}, "exactly one"),
        ({"path": "runs/../../etc"}, ".."),
        ({"format": "PyTorch"}, "supported values"),
    ],
    ids=["two-sources", "path-upwards", "unknown-format"],
)
def test_what_can_be_refused_is_refused_by_kubectl_apply(
    cluster_with_operator: Kubectl, change: dict[str, Any], words: str
) -> None:
    manifest = evaluation("refused", Mistake("", ""))
    manifest["spec"]["checkpoints"] |= change
    with pytest.raises(KubectlError, match=words):
        cluster_with_operator.apply(manifest)
