"""What mounts in user space need of the machine: checked before anything is mounted, Debian packages installed.

All problems are told at once, each with what to do; nothing is skipped silently.
"""

from pathlib import Path

from cluster.errors import ClusterError
from cluster.preflight import Machine, install
from cluster.progress import Progress

DEVICE = Path("/dev/fuse")
PACKAGES = {"fusermount3": "fuse3", "s3fs": "s3fs"}
"""What must be there: the Debian package that brings it. `fuse3` brings libfuse3 too."""


def problems(machine: Machine, device: Path = DEVICE) -> list[tuple[str, str]]:
    """Return every (problem, advice) that no package can mend."""
    if machine.platform != "linux":
        return [(f"the mounts of the tests run on Linux only, this is {machine.platform}", "use a Linux machine")]
    findings = []
    if machine.user != 0:
        findings.append(("mounting needs root", "run as root"))
    if not device.is_char_device():
        advice = "load it (modprobe fuse), or give the container the device (--device /dev/fuse --cap-add SYS_ADMIN)"
        findings.append((f"there is no {device}, so nothing can be mounted in user space", advice))
    return findings


def missing_packages(machine: Machine) -> list[str]:
    """Return the Debian packages that would bring what is not there."""
    return [package for program, package in PACKAGES.items() if machine.find(program) is None]


def check(machine: Machine, progress: Progress, device: Path = DEVICE) -> None:
    """Raise with all problems at once; install the packages that are missing."""
    findings = problems(machine, device)
    if findings:
        raise ClusterError("\n".join(problem for problem, _ in findings), "; ".join(advice for _, advice in findings))
    packages = missing_packages(machine)
    if packages:
        install(packages, progress, machine.find("apt-get"))
