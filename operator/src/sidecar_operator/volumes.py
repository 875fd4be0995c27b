"""Volumes of the evaluator's pod and where they are mounted: checkpoints, datasets, output, code, scratch space.

`manifests` calls it with the spec of a resource. Pure. Everything but output and `/tmp` is read-only. A claim that is
needed twice becomes one volume with two mounts: a kubelet may wait for ever for a pod that lists one claim under two
names.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar_operator.evaluator_args import CHECKPOINTS_DIR, CODE_DIR, OUTPUT_DIR
from sidecar_operator.kube_objects import JsonObject
from sidecar_operator.pod_user import PodUser, pod_user

GCSFUSE_DRIVER = "gcsfuse.csi.storage.gke.io"
GCSFUSE_ANNOTATIONS = {"gke-gcsfuse/volumes": "true"}
"""Makes the webhook of the driver add the side container that serves the mounts."""


@dataclass(frozen=True)
class Mount:
    """A source of files, and where and how the evaluator's container mounts it."""

    name: str
    path: str
    source: JsonObject
    """Holds exactly one of `persistentVolumeClaim`, `gcs` and `s3`."""
    writable: bool = False
    growing: bool = False
    """Files are added while it is mounted, so no metadata of them may be cached."""

    @property
    def claim(self) -> str | None:
        """Name of the claim behind the source, None for a bucket."""
        claim_source = self.source.get("persistentVolumeClaim") or self.source.get("s3") or {}
        return claim_source.get("claimName")

    @property
    def bucket(self) -> str | None:
        """Name of the bucket behind the source, None for a claim."""
        return (self.source.get("gcs") or {}).get("bucket")


def mounts_of(spec: JsonObject) -> list[Mount]:
    """Return the mounts of storage: checkpoints, then datasets, then output."""
    evaluator = spec["evaluator"]
    checkpoints = Mount("checkpoints", str(CHECKPOINTS_DIR), spec["checkpoints"]["source"], growing=True)
    datasets = [
        Mount(f"dataset-{dataset['name']}", dataset["mountPath"], dataset) for dataset in evaluator.get("datasets", [])
    ]
    output = evaluator.get("output")
    outputs = [Mount("output", str(OUTPUT_DIR), output, writable=True)] if output else []
    return [checkpoints, *datasets, *outputs]


def pod_volumes(spec: JsonObject) -> list[JsonObject]:
    """Return the pod's volumes."""
    mounts = mounts_of(spec)
    user = pod_user(spec)
    storage = [_volume(mount, mounts, user) for mount in mounts if _volume_name(mount, mounts) == mount.name]
    return [*storage, *_code_volumes(spec["evaluator"]), {"name": "tmp", "emptyDir": {}}]


def volume_mounts(spec: JsonObject) -> list[JsonObject]:
    """Return the mounts of the evaluator's container."""
    mounts = mounts_of(spec)
    storage = [_volume_mount(mount, _volume_name(mount, mounts)) for mount in mounts]
    code = [{"name": "code", "mountPath": str(CODE_DIR), "readOnly": True}] if "code" in spec["evaluator"] else []
    return [*storage, *code, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108


def writes_beside_checkpoints(spec: JsonObject) -> bool:
    """Tell whether output goes to the claim that the training writes its checkpoints to."""
    mounts = mounts_of(spec)
    return any(mount.writable and mount.claim and mount.claim == mounts[0].claim for mount in mounts)


def annotations(spec: JsonObject) -> dict[str, str]:
    """Return the annotations that the pod's volumes need."""
    return dict(GCSFUSE_ANNOTATIONS) if any(mount.bucket for mount in mounts_of(spec)) else {}


def _volume_name(mount: Mount, mounts: list[Mount]) -> str:
    """Return the name of the first mount of the same claim."""
    shared = (candidate.name for candidate in mounts if mount.claim and candidate.claim == mount.claim)
    return next(shared, mount.name)


def _volume_mount(mount: Mount, volume: str) -> JsonObject:
    volume_mount: JsonObject = {"name": volume, "mountPath": mount.path}
    return volume_mount if mount.writable else {**volume_mount, "readOnly": True}


def _volume(mount: Mount, mounts: list[Mount], user: PodUser) -> JsonObject:
    if mount.bucket:
        return {"name": mount.name, "csi": _gcsfuse(mount, user)}
    writable = any(sharing.writable for sharing in mounts if sharing.claim == mount.claim)
    claim: JsonObject = {"claimName": mount.claim}
    return {
        "name": mount.name,
        "persistentVolumeClaim": claim if writable else {**claim, "readOnly": True},
    }


def _gcsfuse(mount: Mount, user: PodUser) -> JsonObject:
    attributes = {"bucketName": mount.bucket, "mountOptions": ",".join(_gcsfuse_options(mount, user))}
    if mount.growing:
        attributes["metadataCacheTTLSeconds"] = "0"
    return {"driver": GCSFUSE_DRIVER, "readOnly": not mount.writable, "volumeAttributes": attributes}


def _gcsfuse_options(mount: Mount, user: PodUser) -> Iterator[str]:
    """Yield the mount options: directories without an object of their own are listed, and the pod's user may read.

    A user that the platform chooses is not known here. The mount exists in this pod only, so everybody may write then.
    """
    yield "implicit-dirs"
    if user.user is not None:
        yield f"uid={user.user}"
    if user.group is not None:
        yield f"gid={user.group}"
    writing = ("666", "777") if user.user is None else ("644", "755")
    file_mode, directory_mode = writing if mount.writable else ("444", "555")
    yield f"file-mode={file_mode}"
    yield f"dir-mode={directory_mode}"
    if mount.growing:
        yield "metadata-cache:negative-ttl-secs:0"
        yield "file-system:kernel-list-cache-ttl-secs:0"


def _code_volumes(evaluator: JsonObject) -> list[JsonObject]:
    if "code" not in evaluator:
        return []
    return [{"name": "code", "configMap": {"name": evaluator["code"]["configMap"]["name"]}}]
