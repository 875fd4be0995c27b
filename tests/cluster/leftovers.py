"""Takes away what a cluster leaves on the machine, the same way after `down` and after a crash.

Nothing is trusted to be there or to be gone: recorded processes are ended if they are still the same ones,
then containers, mounts, links, chains and files go. Images and logs stay.
"""

import shutil
import signal
from contextlib import suppress
from pathlib import Path

from cluster import mounts, network
from cluster.containerd import Containerd
from cluster.processes import KILLED_SECONDS, ProcessRecord, Records, naming, poll, stop
from cluster.settings import Settings

PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
    "gpu-plugin",
)
GENTLY = ("containerd", "gpu-plugin")  # the others lose nothing when killed
FOLDERS = ("certs", "etcd", "kubelet", "pod-logs", "volumes", "volume-plugins", "kubectl", "run")
PATTERNS = (
    "*.kubeconfig",
    "etcd.sock*",
    "sa.key",
    "tokens.csv",
    "kubelet*.key",
    "kubelet*.crt",
    "*.yaml",
    "Corefile",
    ".*-[0-9]*",
)
KUBELET_FOLDER = Path("/var/lib/kubelet/device-plugins")  # the kubelet's device manager knows no other
CONTAINER_LOGS = Path("/var/log/containers")


def remove(settings: Settings, records: Records, containerd: Containerd) -> None:
    """End what runs and take away what is left of the cluster in `settings.state`."""
    end(records)
    for stray in naming(settings.state, PROGRAMS):
        stop(stray, grace=2.0)
    containerd.clear()
    mounts.detach_below(settings.state)
    network.remove(settings.network)
    remove_files(settings.state)
    _remove_kubelet_traces(settings.state)


def end(records: Records) -> None:
    """End every recorded process that still is the recorded one."""
    recorded = records.read()
    for role, record in recorded.items():
        if role not in GENTLY:
            record.signal(signal.SIGKILL)
    for role in GENTLY:
        if role in recorded:
            stop(recorded[role])
    poll(lambda: not any(map(ProcessRecord.alive, recorded.values())), KILLED_SECONDS)


def remove_files(state: Path) -> None:
    """Delete the cluster's own files by name; the folder may hold others."""
    for name in FOLDERS:
        shutil.rmtree(state / name, ignore_errors=True)
    for pattern in PATTERNS:
        for path in state.glob(pattern):
            path.unlink(missing_ok=True)


def _remove_kubelet_traces(state: Path) -> None:
    for name in ("kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION"):
        (KUBELET_FOLDER / name).unlink(missing_ok=True)
    for folder in (KUBELET_FOLDER, KUBELET_FOLDER.parent):
        with suppress(OSError):  # not there, not empty, or a mount of somebody's
            folder.rmdir()
    for link in CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(state):
            link.unlink()
