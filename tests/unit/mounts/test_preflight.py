import io
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.preflight import Machine
from cluster.progress import Progress
from mounts.preflight import check, missing_packages, problems

NULL = Path("/dev/null")


def machine(*programs: str, platform: str = "linux", user: int = 0) -> Machine:
    return Machine(platform, user, find=lambda name: f"/usr/bin/{name}" if name in programs else None)


def test_a_good_machine_has_no_problem() -> None:
    assert problems(machine(), NULL) == []


@pytest.mark.parametrize(
    ("host", "device", "problem", "advice"),
    [
        (machine(platform="darwin"), NULL, "Linux only, this is darwin", "Linux machine"),
        (machine(user=1000), NULL, "needs root", "run as root"),
        (machine(), Path("/dev/no-fuse"), "there is no /dev/no-fuse", "modprobe fuse"),
    ],
    ids=["platform", "user", "device"],
)
def test_each_problem_is_told_with_what_to_do(host: Machine, device: Path, problem: str, advice: str) -> None:
    with pytest.raises(ClusterError, match=problem) as error:
        check(host, Progress(io.StringIO()), device)
    assert advice in error.value.advice


def test_only_what_is_missing_is_installed() -> None:
    assert missing_packages(machine()) == ["fuse3", "s3fs"]
    assert missing_packages(machine("fusermount3")) == ["s3fs"]
    check(machine("fusermount3", "s3fs"), Progress(io.StringIO()), NULL)


def test_without_a_package_tool_the_packages_are_named() -> None:
    with pytest.raises(ClusterError, match="fuse3 s3fs"):
        check(machine(), Progress(io.StringIO()), NULL)
