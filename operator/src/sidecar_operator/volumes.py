"""Volumes of the evaluator's pod and where they are mounted: checkpoints, datasets, output, code, scratch space.

`desired` calls it. Pure. Everything but output and `/tmp` is read-only. A claim that is needed twice becomes one
volume with two mounts, because a kubelet may wait for ever for a pod that lists one claim under two names.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar_operator.evaluator_args import CHECKPOINTS_DIR, OUTPUT_DIR
from sidecar_operator.kube_objects import Object

USER_ID = 65532
"""User and group of every process in the pod; also the owner of files on a bucket's mount, which has none itself."""

GCSFUSE_DRIVER = "gcsfuse.csi.storage.gke.io"
GCSFUSE_ANNOTATIONS = {"gke-gcsfuse/volumes": "true"}
"""Asks the driver's webhook for the side container that serves the mounts."""

CODE_DIR = "/code"


@dataclass(frozen=True)
class Mount:
    """A source that the pod needs, and how."""

    name: str
    path: str
    source: Object
    """Holds exactly one of `persistentVolumeClaim`, `gcs` and `s3`."""
    writable: bool = False
    growing: bool = False
    """Files appear while it is mounted, so nothing about them may be cached."""

    @property
    def claim(self) -> str | None:
        """Name of the claim behind the source, None for a bucket."""
        by_claim = self.source.get("persistentVolumeClaim") or self.source.get("s3") or {}
        return by_claim.get("claimName")

    @property
    def bucket(self) -> str | None:
        """Name of the bucket behind the source, None for a claim."""
        return (self.source.get("gcs") or {}).get("bucket")


def mounts_of(spec: Object) -> list[Mount]:
    """Return what the spec asks to have mounted from storage."""
    evaluator = spec["evaluator"]
    checkpoints = Mount("checkpoints", str(CHECKPOINTS_DIR), spec["checkpoints"]["source"], growing=True)
    datasets = [
        Mount(f"dataset-{dataset['name']}", dataset["mountPath"], dataset) for dataset in evaluator.get("datasets", [])
    ]
    output = evaluator.get("output")
    outputs = [Mount("output", str(OUTPUT_DIR), output, writable=True)] if output else []
    return [checkpoints, *datasets, *outputs]


def volumes(spec: Object) -> list[Object]:
    """Return the pod's volumes."""
    mounts = mounts_of(spec)
    stored = [_volume(mount, mounts) for mount in mounts if _volume_name(mount, mounts) == mount.name]
    return [*stored, *_code_volumes(spec["evaluator"]), {"name": "tmp", "emptyDir": {}}]


def volume_mounts(spec: Object) -> list[Object]:
    """Return the mounts of the evaluator's container."""
    mounts = mounts_of(spec)
    stored = [_volume_mount(mount, _volume_name(mount, mounts)) for mount in mounts]
    code = [{"name": "code", "mountPath": CODE_DIR, "readOnly": True}] if "code" in spec["evaluator"] else []
    return [*stored, *code, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108


def writes_beside_checkpoints(spec: Object) -> bool:
    """Tell whether output goes to the claim that the training writes its checkpoints to."""
    mounts = mounts_of(spec)
    return any(mount.writable and mount.claim and mount.claim == mounts[0].claim for mount in mounts)


def annotations(spec: Object) -> dict[str, str]:
    """Return the annotations that the pod's volumes need."""
    return dict(GCSFUSE_ANNOTATIONS) if any(mount.bucket for mount in mounts_of(spec)) else {}


def _volume_name(mount: Mount, mounts: list[Mount]) -> str:
    """Return the name of the first mount of the same claim."""
    same = (other.name for other in mounts if mount.claim and other.claim == mount.claim)
    return next(same, mount.name)


def _volume_mount(mount: Mount, volume: str) -> Object:
    rendered: Object = {"name": volume, "mountPath": mount.path}
    return rendered if mount.writable else {**rendered, "readOnly": True}


def _volume(mount: Mount, mounts: list[Mount]) -> Object:
    if mount.bucket:
        return {"name": mount.name, "csi": _gcsfuse(mount)}
    writable = any(other.writable for other in mounts if other.claim == mount.claim)
    claim: Object = {"claimName": mount.claim}
    return {
        "name": mount.name,
        "persistentVolumeClaim": claim if writable else {**claim, "readOnly": True},
    }


def _gcsfuse(mount: Mount) -> Object:
    attributes = {"bucketName": mount.bucket, "mountOptions": ",".join(_gcsfuse_options(mount))}
    if mount.growing:
        attributes["metadataCacheTTLSeconds"] = "0"
    return {"driver": GCSFUSE_DRIVER, "readOnly": not mount.writable, "volumeAttributes": attributes}


def _gcsfuse_options(mount: Mount) -> Iterator[str]:
    """Yield the mount options: directories without an object of their own are seen, and a plain user may read."""
    yield "implicit-dirs"
    yield f"uid={USER_ID}"
    yield f"gid={USER_ID}"
    yield "file-mode=644" if mount.writable else "file-mode=444"
    yield "dir-mode=755" if mount.writable else "dir-mode=555"
    if mount.growing:
        yield "metadata-cache:negative-ttl-secs:0"
        yield "file-system:kernel-list-cache-ttl-secs:0"


def _code_volumes(evaluator: Object) -> list[Object]:
    if "code" not in evaluator:
        return []
    return [{"name": "code", "configMap": {"name": evaluator["code"]["configMap"]["name"]}}]
