from typing import Any

import pytest

from sidecar_operator import evaluator_args
from sidecar_operator.kube_objects import Object
from sidecar_operator.volumes import annotations, volume_mounts, volumes
from unit.operator.support.samples import KEY, evaluation

CLAIM = {"persistentVolumeClaim": {"claimName": "runs"}}
S3 = {"s3": {"claimName": "s3-runs"}}
GCS = {"gcs": {"bucket": "b"}}


def spec(source: Object, **evaluator: Any) -> Object:
    given = {
        "checkpoints": {"source": source, "path": "run"},
        "evaluator": {"entrypoint": "evaluate:build", **evaluator},
    }
    found: Object = evaluation(given)["spec"]
    return found


def by_name(objects: list[Object]) -> dict[str, Object]:
    return {found["name"]: found for found in objects}


@pytest.mark.parametrize(("source", "claim"), [(CLAIM, "runs"), (S3, "s3-runs")])
def test_checkpoints_on_a_claim_are_read_only(source: Object, claim: str) -> None:
    found = spec(source)
    assert volumes(found)[0] == {
        "name": "checkpoints",
        "persistentVolumeClaim": {"claimName": claim, "readOnly": True},
    }
    assert volume_mounts(found)[0] == {"name": "checkpoints", "mountPath": "/checkpoints", "readOnly": True}
    assert annotations(found) == {}


def test_checkpoints_in_a_bucket_are_never_cached() -> None:
    found = spec(GCS)
    csi = volumes(found)[0]["csi"]
    assert csi["driver"] == "gcsfuse.csi.storage.gke.io"
    assert csi["readOnly"] is True
    assert csi["volumeAttributes"]["metadataCacheTTLSeconds"] == "0"
    assert {
        "implicit-dirs",
        "metadata-cache:negative-ttl-secs:0",
        "file-system:kernel-list-cache-ttl-secs:0",
    } <= set(csi["volumeAttributes"]["mountOptions"].split(","))
    assert annotations(found) == {"gke-gcsfuse/volumes": "true"}


@pytest.mark.parametrize(("source", "is_fresh"), [(GCS, True), (CLAIM, False), (S3, False)])
def test_the_evaluator_is_told_that_a_listing_is_never_old_only_where_nothing_is_cached(
    source: Object, is_fresh: bool
) -> None:
    found = spec(source)
    attributes = volumes(found)[0].get("csi", {}).get("volumeAttributes", {})
    assert (attributes.get("metadataCacheTTLSeconds") == "0") is is_fresh
    assert ("--listing-age=0" in evaluator_args.arguments(KEY, found)) is is_fresh


def test_what_does_not_grow_is_cached() -> None:
    found = spec(CLAIM, datasets=[{"name": "val", "mountPath": "/data", **GCS}], output={**GCS, "path": "eval"})
    for name in ("dataset-val", "output"):
        attributes = by_name(volumes(found))[name]["csi"]["volumeAttributes"]
        assert "metadataCacheTTLSeconds" not in attributes
        assert "ttl-secs" not in attributes["mountOptions"]


def test_output_in_a_bucket_is_writable() -> None:
    found = spec(GCS, output={**GCS, "path": "eval"})
    assert by_name(volumes(found))["output"]["csi"]["readOnly"] is False
    assert by_name(volume_mounts(found))["output"] == {"name": "output", "mountPath": "/output"}


def test_a_bucket_for_data_alone_asks_for_the_side_container() -> None:
    assert annotations(spec(CLAIM, datasets=[{"name": "val", "mountPath": "/data", **GCS}]))


def test_one_claim_is_one_volume_and_writable_only_where_output_is() -> None:
    found = spec(CLAIM, output={**CLAIM, "path": "eval"}, datasets=[{"name": "val", "mountPath": "/data", **CLAIM}])
    assert [volume["name"] for volume in volumes(found)] == ["checkpoints", "tmp"]
    assert volumes(found)[0]["persistentVolumeClaim"] == {"claimName": "runs"}
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in volume_mounts(found)}
    assert mounts == {"/checkpoints": True, "/data": True, "/output": False, "/tmp": False}


def test_code_is_mounted_from_its_config_map() -> None:
    found = spec(CLAIM, code={"configMap": {"name": "mnist-eval"}})
    assert by_name(volumes(found))["code"]["configMap"] == {"name": "mnist-eval"}
    assert by_name(volume_mounts(found))["code"]["readOnly"] is True


def test_names_of_volumes_are_unique() -> None:
    found = spec(GCS, datasets=[{"name": "tmp", "mountPath": "/d", **GCS}], output={**GCS, "path": "."})
    names = [volume["name"] for volume in volumes(found)]
    assert len(names) == len(set(names))
