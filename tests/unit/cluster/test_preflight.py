import io
from pathlib import Path

import pytest

from cluster.cgroups import V1_NEEDED, Cgroups
from cluster.errors import ClusterError
from cluster.preflight import PACKAGES, Machine, check, install, is_static, problems, require_root
from cluster.progress import Progress


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which nothing is amiss but that it has no tools."""
    (tmp_path / "proc").mkdir()
    for name in V1_NEEDED:
        (tmp_path / "cgroup" / name).mkdir(parents=True)
    return Machine("linux", 0, (3, 11), tmp_path / "proc", Cgroups(tmp_path / "cgroup"), lambda name: None)


def changed(machine: Machine, **fields: object) -> Machine:
    return Machine(**{**vars(machine), **fields})


def test_a_good_machine_has_no_problem(machine: Machine) -> None:
    assert problems(machine) == []


@pytest.mark.parametrize(
    ("fields", "problem", "advice"),
    [
        ({"platform": "darwin"}, "Linux only, this is darwin", "CLUSTER=current"),
        ({"user": 1000}, "needs root", "run as root"),
        ({"python": (3, 9)}, "Python 3.11 or newer is needed, this is 3.9", "newer python3"),
        ({"cgroups": Cgroups(Path("/nonexistent"))}, "control groups lack cpu", "cgroup2"),
    ],
)
def test_each_problem_is_told_with_what_to_do(
    machine: Machine, fields: dict[str, object], problem: str, advice: str
) -> None:
    with pytest.raises(ClusterError) as raised:
        check(changed(machine, **fields), Progress(io.StringIO()))
    assert problem in raised.value.problem
    assert advice in raised.value.advice


def test_all_problems_are_told_at_once(machine: Machine) -> None:
    assert len(problems(changed(machine, user=1000, python=(3, 9)))) == 2


def test_another_node_on_the_machine_is_refused_and_our_own_is_not(machine: Machine) -> None:
    for pid, name, links in (("7", "kubelet", 1), ("8", "sshd", 1), ("9", "kubelet", 2), ("self", "python3", 1)):
        (machine.proc / pid / "ns").mkdir(parents=True)
        (machine.proc / pid / "comm").write_text(f"{name}\n")
        (machine.proc / pid / "ns" / "net").symlink_to(f"net:[{links}]")
    assert "(process 7)" in problems(machine)[0][0]
    assert problems(machine, cluster_pids=frozenset({7})) == []


def test_without_apt_the_missing_packages_are_named(machine: Machine) -> None:
    with pytest.raises(ClusterError, match=r"containerd.*no apt-get"):
        check(machine, Progress(io.StringIO()))


def test_a_failing_apt_is_quoted(tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
    apt.chmod(0o755)
    with pytest.raises(ClusterError, match="Unable to locate package"):
        install(["runc"], Progress(io.StringIO()), str(apt))


def test_only_what_is_missing_is_installed(machine: Machine) -> None:
    there = changed(machine, find=lambda name: None if name in {"runc", "busybox"} else "/bin/true")
    assert {"runc", "busybox-static"} <= set(there.missing_packages())
    assert PACKAGES["iptables"] not in there.missing_packages()


@pytest.mark.parametrize(
    ("head", "static"),
    [(b"\x7fELF....", True), (b"\x7fELF../lib64/ld-linux-x86-64.so.2", False), (b"#!/bin/sh", False)],
)
def test_a_program_is_static_if_it_names_no_loader(tmp_path: Path, head: bytes, static: bool) -> None:
    (tmp_path / "program").write_bytes(head)
    assert is_static(tmp_path / "program") is static


def test_down_is_for_root_on_linux(machine: Machine) -> None:
    require_root(machine)
    with pytest.raises(ClusterError, match="only root"):
        require_root(changed(machine, user=1000))
