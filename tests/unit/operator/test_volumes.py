from typing import Any

import pytest

from sidecar_operator import evaluator_args
from sidecar_operator.kube_objects import JsonObject
from sidecar_operator.volumes import annotations, pod_volumes, volume_mounts
from unit.operator.support.samples import KEY, evaluation

CLAIM = {"persistentVolumeClaim": {"claimName": "runs"}}
S3 = {"s3": {"claimName": "s3-runs"}}
GCS = {"gcs": {"bucket": "b"}}


def spec(source: JsonObject, **evaluator: Any) -> JsonObject:
    fields = {
        "checkpoints": {"source": source, "path": "run"},
        "evaluator": {"entrypoint": "evaluate:build", **evaluator},
    }
    full_spec: JsonObject = evaluation(fields)["spec"]
    return full_spec


def by_name(objects: list[JsonObject]) -> dict[str, JsonObject]:
    return {obj["name"]: obj for obj in objects}


@pytest.mark.parametrize(("source", "claim"), [(CLAIM, "runs"), (S3, "s3-runs")])
def test_checkpoints_on_a_claim_are_read_only(source: JsonObject, claim: str) -> None:
    full_spec = spec(source)
    assert pod_volumes(full_spec)[0] == {
        "name": "checkpoints",
        "persistentVolumeClaim": {"claimName": claim, "readOnly": True},
    }
    assert volume_mounts(full_spec)[0] == {"name": "checkpoints", "mountPath": "/checkpoints", "readOnly": True}
    assert annotations(full_spec) == {}


def test_checkpoints_in_a_bucket_are_never_cached() -> None:
    full_spec = spec(GCS)
    csi = pod_volumes(full_spec)[0]["csi"]
    assert csi["driver"] == "gcsfuse.csi.storage.gke.io"
    assert csi["readOnly"] is True
    assert csi["volumeAttributes"]["metadataCacheTTLSeconds"] == "0"
    assert {
        "implicit-dirs",
        "metadata-cache:negative-ttl-secs:0",
        "file-system:kernel-list-cache-ttl-secs:0",
    } <= set(csi["volumeAttributes"]["mountOptions"].split(","))
    assert annotations(full_spec) == {"gke-gcsfuse/volumes": "true"}


@pytest.mark.parametrize(("source", "is_fresh"), [(GCS, True), (CLAIM, False), (S3, False)])
def test_the_flag_for_fresh_listings_is_set_only_where_nothing_is_cached(source: JsonObject, is_fresh: bool) -> None:
    full_spec = spec(source)
    attributes = pod_volumes(full_spec)[0].get("csi", {}).get("volumeAttributes", {})
    assert (attributes.get("metadataCacheTTLSeconds") == "0") is is_fresh
    assert ("--listing-age=0" in evaluator_args.arguments(KEY, full_spec)) is is_fresh


def test_what_does_not_grow_is_cached() -> None:
    full_spec = spec(CLAIM, datasets=[{"name": "val", "mountPath": "/data", **GCS}], output={**GCS, "path": "eval"})
    for name in ("dataset-val", "output"):
        attributes = by_name(pod_volumes(full_spec))[name]["csi"]["volumeAttributes"]
        assert "metadataCacheTTLSeconds" not in attributes
        assert "ttl-secs" not in attributes["mountOptions"]


def test_output_in_a_bucket_is_writable() -> None:
    full_spec = spec(GCS, output={**GCS, "path": "eval"})
    assert by_name(pod_volumes(full_spec))["output"]["csi"]["readOnly"] is False
    assert by_name(volume_mounts(full_spec))["output"] == {"name": "output", "mountPath": "/output"}


@pytest.mark.parametrize(
    ("context", "options"),
    [
        (None, ["uid=65532", "gid=65532", "file-mode=644", "dir-mode=755"]),
        ({"runAsUser": 1000, "runAsGroup": 0}, ["uid=1000", "gid=0", "file-mode=644", "dir-mode=755"]),
        ({"runAsUser": 1000}, ["uid=1000", "file-mode=644", "dir-mode=755"]),
        ({}, ["file-mode=666", "dir-mode=777"]),
    ],
)
def test_a_bucket_belongs_to_the_user_of_the_pod(context: JsonObject | None, options: list[str]) -> None:
    evaluator = {} if context is None else {"securityContext": context}
    full_spec = spec(GCS, output={**GCS, "path": "eval"}, **evaluator)
    volumes = by_name(pod_volumes(full_spec))
    attributes = volumes["output"]["csi"]["volumeAttributes"]
    assert attributes["mountOptions"].split(",") == ["implicit-dirs", *options]
    reading = volumes["checkpoints"]["csi"]["volumeAttributes"]["mountOptions"].split(",")
    assert {"file-mode=444", "dir-mode=555"} <= set(reading)


def test_a_bucket_for_data_alone_asks_for_the_side_container() -> None:
    assert annotations(spec(CLAIM, datasets=[{"name": "val", "mountPath": "/data", **GCS}]))


def test_one_claim_is_one_volume_and_writable_only_where_output_is() -> None:
    full_spec = spec(CLAIM, output={**CLAIM, "path": "eval"}, datasets=[{"name": "val", "mountPath": "/data", **CLAIM}])
    assert [volume["name"] for volume in pod_volumes(full_spec)] == ["checkpoints", "tmp"]
    assert pod_volumes(full_spec)[0]["persistentVolumeClaim"] == {"claimName": "runs"}
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in volume_mounts(full_spec)}
    assert mounts == {"/checkpoints": True, "/data": True, "/output": False, "/tmp": False}


def test_code_is_mounted_from_its_config_map() -> None:
    full_spec = spec(CLAIM, code={"configMap": {"name": "mnist-eval"}})
    assert by_name(pod_volumes(full_spec))["code"]["configMap"] == {"name": "mnist-eval"}
    assert by_name(volume_mounts(full_spec))["code"]["readOnly"] is True


def test_names_of_volumes_are_unique() -> None:
    full_spec = spec(GCS, datasets=[{"name": "tmp", "mountPath": "/d", **GCS}], output={**GCS, "path": "."})
    names = [volume["name"] for volume in pod_volumes(full_spec)]
    assert len(names) == len(set(names))
