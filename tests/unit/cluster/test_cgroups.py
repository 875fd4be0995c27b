from pathlib import Path

import pytest

from cluster.cgroups import V1_NEEDED, V2_NEEDED, Cgroups


def version_1(root: Path, *, without: str = "") -> Cgroups:
    for name in V1_NEEDED:
        if name != without:
            (root / name).mkdir()
    (root / "unified").mkdir()
    return Cgroups(root)


def version_2(root: Path, controllers: str, enabled: str = "") -> Cgroups:
    (root / "cgroup.controllers").write_text(controllers)
    (root / "cgroup.subtree_control").write_text(enabled)
    (root / "cgroup.procs").write_text("1\n2\n")
    return Cgroups(root)


def test_the_hybrid_layout_counts_as_version_1(tmp_path: Path) -> None:
    groups = version_1(tmp_path)
    assert (groups.version, groups.lacking()) == (1, [])
    groups.enable()


def test_missing_controllers_are_named(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v2").mkdir()
    assert version_1(tmp_path / "v1", without="memory").lacking() == ["memory"]
    assert version_2(tmp_path / "v2", "cpu memory pids").lacking() == ["cpuset"]


def test_version_2_switches_on_what_is_off(tmp_path: Path) -> None:
    groups = version_2(tmp_path, " ".join(V2_NEEDED), "cpu pids")
    assert (groups.version, groups.lacking()) == (2, [])
    groups.enable()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpuset +memory"


def test_version_2_empties_a_root_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = version_2(tmp_path, "memory")
    (tmp_path / "init").mkdir()
    (tmp_path / "init" / "cgroup.procs").touch()
    write = Path.write_text

    def refuse_until_emptied(path: Path, text: str) -> int:
        if path.name == "cgroup.subtree_control" and not (tmp_path / "init" / "cgroup.procs").read_text():
            raise OSError(16, "Device or resource busy")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", refuse_until_emptied)
    groups.enable()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"


def test_a_group_goes_with_its_children_and_its_empty_parent(tmp_path: Path) -> None:
    groups = version_1(tmp_path)
    (tmp_path / "memory" / "k8s.io" / "a" / "inner").mkdir(parents=True)
    (tmp_path / "cpu" / "k8s.io" / "a").mkdir(parents=True)
    (tmp_path / "cpu" / "k8s.io" / "b").mkdir(parents=True)
    groups.remove("k8s.io/a")
    assert not (tmp_path / "memory" / "k8s.io").exists()
    assert [path.name for path in (tmp_path / "cpu" / "k8s.io").iterdir()] == ["b"]
