"""What the whole node needs of the machine: checked before anything is changed, Debian packages installed.

Each check answers with a problem and what to do about it; all problems are told at once.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cluster.cgroups import Cgroups
from cluster.errors import ClusterError
from cluster.progress import Progress

OLDEST_PYTHON = (3, 11)
SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
PACKAGES = {  # what must be there: the Debian package that brings it
    "containerd": "containerd",
    "runc": "runc",
    "bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "openssl": "openssl",
    "mount": "mount",
    "busybox": "busybox-static",
}


@dataclass(frozen=True)
class Machine:
    """What the checks look at, so that a test can say what it is."""

    platform: str = sys.platform
    user: int = -1
    python: tuple[int, int] = sys.version_info[:2]
    proc: Path = Path("/proc")
    cgroups: Cgroups = field(default_factory=Cgroups)
    find: Callable[[str], str | None] = lambda name: shutil.which(name, path=SEARCHED)

    @classmethod
    def this(cls) -> "Machine":
        """Describe the machine that this runs on."""
        return cls(user=os.geteuid())

    def tool(self, name: str) -> Path | None:
        """Return the path of something in PACKAGES, or None."""
        if name == "bridge":
            return next((folder for folder in CNI_FOLDERS if (folder / name).exists()), None)
        path = self.find(name)
        if path is None or (name == "busybox" and not is_static(Path(path))):
            return None
        return Path(path)

    def require(self, name: str) -> Path:
        """Return the path of a tool that the preflight has made sure of."""
        path = self.tool(name)
        if path is None:
            raise ClusterError(f"{name} is not there", f"apt-get install {PACKAGES[name]}")
        return path

    def missing_packages(self) -> list[str]:
        """Return the Debian packages that would bring what is not there."""
        return [package for name, package in PACKAGES.items() if self.tool(name) is None]


def problems(machine: Machine, cluster_pids: frozenset[int] = frozenset()) -> list[tuple[str, str]]:
    """Return every (problem, advice) that no package can mend; `cluster_pids` are process ids of this cluster."""
    findings = []
    if machine.platform != "linux":
        return [
            (
                f"the local node runs on Linux only, this is {machine.platform}",
                "use a cluster of yours: CLUSTER=current",
            )
        ]
    if machine.python < OLDEST_PYTHON:
        findings.append(
            (
                f"Python 3.11 or newer is needed, this is {machine.python[0]}.{machine.python[1]}",
                "install a newer python3",
            )
        )
    if machine.user != 0:
        findings.append(
            (
                "the local node needs root (containers, links, mounts)",
                "run as root, or use a cluster of yours: CLUSTER=current",
            )
        )
    lacking = machine.cgroups.lacking()
    if lacking:
        findings.append((f"the kernel's control groups lack {', '.join(lacking)}", "mount cgroup2 at /sys/fs/cgroup"))
    others = foreign_kubelets(machine.proc) - cluster_pids
    if others:
        ids = ", ".join(map(str, sorted(others)))
        findings.append(
            (f"another Kubernetes node runs on this machine (process {ids})", "stop it, or use it: CLUSTER=current")
        )
    return findings


def require_root(machine: Machine) -> None:
    """Raise unless this is Linux and the user is root."""
    if machine.platform != "linux" or machine.user != 0:
        raise ClusterError("only root on Linux has a local node to change", "run as root")


def foreign_kubelets(proc: Path) -> set[int]:
    """Return the ids of processes named kubelet or kube-proxy that share our links; one in a container does not."""
    pids = set()
    for path in proc.glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() in {"kubelet", "kube-proxy"} and _shares_links(path.parent):
                pids.add(int(path.parent.name))
        except OSError:
            continue
    return pids


def _shares_links(process: Path) -> bool:
    return (process / "ns/net").readlink() == (process.parent / "self/ns/net").readlink()  # OSError for a zombie


def check(machine: Machine, progress: Progress, cluster_pids: frozenset[int] = frozenset()) -> None:
    """Raise with all problems at once; install the packages that are missing."""
    findings = problems(machine, cluster_pids)
    if findings:
        raise ClusterError("\n".join(problem for problem, _ in findings), "; ".join(advice for _, advice in findings))
    packages = machine.missing_packages()
    if packages:
        install(packages, progress, machine.find("apt-get"))


def install(packages: list[str], progress: Progress, apt: str | None) -> None:
    """Install Debian packages; another run of apt is waited for."""
    wanted = " ".join(packages)
    if apt is None:
        raise ClusterError(
            f"missing: {wanted} (names of Debian packages), and there is no apt-get",
            "install what they bring with your own package tool",
        )
    progress.say(f"installing {wanted}")
    command = [apt, "-o", "DPkg::Lock::Timeout=600", "-qq"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(
            f"apt-get could not install {wanted}: {done.stderr.strip()[-2000:]}",
            f"run apt-get install {wanted} yourself",
        )


def is_static(path: Path) -> bool:
    """Say whether a program names no loader, so that it runs in an image of its own."""
    with path.open("rb") as file:
        head = file.read(4096)
    return head.startswith(b"\x7fELF") and b"/ld-" not in head
