"""Persistent volumes of the local cluster: folders of this machine, ready for any claim without a storage class.

A real cluster has a storage provisioner; the local one has a pool of these volumes instead, so that the same samples
run on both. `up` calls `fill_pool`; a volume whose claim is gone is emptied and offered again.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

POOL_SIZE = 32
CAPACITY = "10Gi"

Kubectl = Callable[..., str]
"""Runs kubectl with these arguments (and `stdin`) and returns what it printed."""


def volume(name: str, folder: Path) -> dict[str, Any]:
    """Return the PersistentVolume that offers `folder`."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": CAPACITY},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def fill_pool(kubectl: Kubectl, root: Path) -> None:
    """Offer `POOL_SIZE` volumes below `root`; those that a claim holds are left alone."""
    phases = read_phases(kubectl)
    wanted = {f"local-{number:02}": root / f"{number:02}" for number in range(POOL_SIZE)}
    released = [name for name in wanted if phases.get(name) in {"Released", "Failed"}]
    if released:
        kubectl("delete", "persistentvolume", *released)
    missing = [name for name in wanted if name not in phases or name in released]
    for name in missing:
        empty(wanted[name])
    if missing:
        items = [volume(name, wanted[name]) for name in missing]
        kubectl("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def read_phases(kubectl: Kubectl) -> dict[str, str]:
    """Return the phase of each volume in the cluster by name."""
    volumes = json.loads(kubectl("get", "persistentvolumes", "--output=json"))["items"]
    return {item["metadata"]["name"]: item.get("status", {}).get("phase", "Pending") for item in volumes}


def empty(folder: Path) -> None:
    """Make `folder` an empty one that pods of any user may write to: hostPath volumes know no fsGroup."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o777)
