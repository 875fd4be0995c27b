"""The samples are what a newcomer applies first: the API server must take them as they are."""

from pathlib import Path

import pytest
import yaml

from cluster.api_server import ApiServer
from demo.kubectl import Kubectl, Manifest
from integration.evaluations import Evaluations

SAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "samples"
DEMO = SAMPLES / "demo"
FILES = ["pvc.yaml", "gcs.yaml", "s3.yaml", "tfjob-mnist.yaml", "demo/evaluation.yaml"]


def objects(file: str) -> dict[str, Manifest]:
    """Return the objects of a sample by kind; a sample has one of each."""
    return {manifest["kind"]: manifest for manifest in yaml.safe_load_all((SAMPLES / file).read_text())}


def training_pod(file: str) -> Manifest:
    """Return the pod that the training of a sample runs."""
    manifests = objects(file)
    job = manifests["TFJob"]["spec"]["tfReplicaSpecs"]["Chief"] if "TFJob" in manifests else manifests["Job"]["spec"]
    template: Manifest = job["template"]
    return {"metadata": {"name": "training"}, "spec": template["spec"]}


@pytest.mark.parametrize("file", FILES)
def test_sample_is_accepted(evaluations: Evaluations, file: str) -> None:
    resource = objects(file)["SidecarEvaluation"]
    created = evaluations.client.post(f"{evaluations.path()}?fieldValidation=Strict", resource)
    assert created["metadata"]["name"] == resource["metadata"]["name"]


@pytest.mark.parametrize("file", ["tfjob-mnist.yaml", "demo/training.yaml"])
def test_training_pod_is_admitted_where_only_restricted_pods_are(server: ApiServer, namespace: str, file: str) -> None:
    pod = server.client.post(f"/api/v1/namespaces/{namespace}/pods?fieldValidation=Strict", training_pod(file))
    assert pod["metadata"]["name"] == "training"


def test_demo_is_applied_as_a_whole(server: ApiServer, kubectl: Kubectl) -> None:
    kubectl.within("sidecar-demo").apply_folder(DEMO)
    path = "/api/v1/namespaces/sidecar-demo/configmaps/digits-code"
    assert server.client.get(path)["data"] == code()


def test_s3_volume_and_claim_are_accepted(kubectl: Kubectl) -> None:
    manifests = objects("s3.yaml")
    volume, claim = manifests["PersistentVolume"], manifests["PersistentVolumeClaim"]
    kubectl.apply(volume)
    kubectl.apply(claim)
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert volume["spec"]["claimRef"]["name"] == claim["metadata"]["name"]


def test_tfjob_sample_stands_alone() -> None:
    manifests = objects("tfjob-mnist.yaml")
    assert manifests["ConfigMap"]["data"] == code(), "copy the files of deploy/samples/demo into the ConfigMap"
    assert training_pod("tfjob-mnist.yaml")["spec"]["containers"][0]["name"] == "tensorflow"
    spec = manifests["SidecarEvaluation"]["spec"]
    assert spec["trainingRef"] == {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "mnist"}
    assert spec["evaluator"]["code"]["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    claim = manifests["PersistentVolumeClaim"]["metadata"]["name"]
    assert spec["checkpoints"]["source"]["persistentVolumeClaim"]["claimName"] == claim


def code() -> dict[str, str]:
    """Return the files that training and evaluation of both samples run."""
    return {name: (DEMO / name).read_text() for name in ("digits.py", "train.py", "evaluate.py")}
