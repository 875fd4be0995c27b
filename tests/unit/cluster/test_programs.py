import io
from pathlib import Path

import pytest

from cluster import programs
from cluster.errors import ClusterError
from cluster.programs import PROGRAMS, Program, Programs, digest, linker_flags, pinned_version
from cluster.progress import Progress
from cluster.toolchain import Toolchain


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return a program whose module lies in a folder of this test."""
    monkeypatch.setattr(programs, "MODULES", tmp_path / "go")
    folder = tmp_path / "go" / "tool"
    (folder / "cmd").mkdir(parents=True)
    (folder / "go.mod").write_text("module m\n\nrequire example.org/tool v1.2.3\n")
    (folder / "go.sum").write_text("sums\n")
    (folder / "cmd" / "main.go").write_text("package main\n")
    return Program("tool", "tool", "example.org/tool", "./cmd")


def test_every_program_has_its_version_pinned_in_its_module() -> None:
    versions = {name: program.version for name, program in PROGRAMS.items()}
    assert versions["kubelet"] == versions["kubectl"] == "v1.34.4"
    assert versions["training-operator"] == "v1.9.3"
    assert all((program.folder / "go.sum").stat().st_size for program in PROGRAMS.values())


@pytest.mark.parametrize(
    "text",
    ["require example.org/a v1.0.0\n", "require (\n\texample.org/a v1.0.0 // indirect\n\texample.org/ab v2.0.0\n)\n"],
)
def test_a_version_is_read_from_either_form(text: str) -> None:
    assert pinned_version(text, "example.org/a") == "v1.0.0"


def test_a_module_without_the_requirement_is_an_error() -> None:
    with pytest.raises(ClusterError, match=r"example\.org/b"):
        pinned_version("require example.org/a v1.0.0\n", "example.org/b")


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "cmd/main.go"])
def test_a_change_of_any_source_gives_another_key(module: Program, changed: str) -> None:
    before = digest(module, "1.27.3")
    path = module.folder / changed
    path.write_text(path.read_text() + "// more\n")
    assert digest(module, "1.27.3") != before


def test_another_go_gives_another_key(module: Program) -> None:
    assert digest(module, "1.27.3") != digest(module, "1.27.4")


def test_kubernetes_learns_its_version_from_the_linker() -> None:
    flags = linker_flags(PROGRAMS["kubelet"])
    assert "version.gitVersion=v1.34.4" in flags
    assert "version.gitMinor=34" in flags
    assert linker_flags(PROGRAMS["etcd"]) == flags
    assert linker_flags(PROGRAMS["gcsfuse"]) == "-s -w"


def fake_go(cache: Path, script: str) -> Programs:
    """Return the programs of a cache whose `go` is a shell script; `$last` is its output folder."""
    toolchain = Toolchain(cache)
    toolchain.go.parent.mkdir(parents=True)
    toolchain.go.write_text(
        f"#!/bin/sh\ncall=$*\nwhile [ $# -gt 0 ]; do [ $1 = -o ] && last=$2; shift; done\n{script}\n"
    )
    toolchain.go.chmod(0o755)
    return Programs(cache, Progress(io.StringIO()), toolchain)


def test_a_build_happens_once_and_is_linked(module: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROGRAMS, "tool", module)
    built = fake_go(tmp_path / "cache", 'echo built >>"$last/cmd"')
    path = built.built("tool")
    assert built.built("tool") == path
    assert path.read_text() == "built\n"
    assert (tmp_path / "cache" / "bin" / "tool").resolve() == path
    assert "v1.2.3" in path.parent.name


def test_a_failed_build_tells_why_and_leaves_nothing_half(
    module: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROGRAMS, "tool", module)
    failing = fake_go(tmp_path / "cache", 'echo half >"$last/cmd"; echo "no route to proxy" >&2; exit 1')
    with pytest.raises(ClusterError, match=r"(?s)no route to proxy.*GOPROXY"):
        failing.built("tool")
    assert not failing.path("tool").exists()


def test_programs_of_one_module_are_built_together_but_those_that_are_there(
    module: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        monkeypatch.setitem(PROGRAMS, name, Program(name, "tool", "example.org/tool", f"example.org/tool/{name}"))
    building = fake_go(
        tmp_path / "cache", 'echo "$call" >>../../calls; for name in one two three; do touch "$last/$name"; done'
    )
    building.built("two")
    assert building.build(["three", "two", "one"]) == [building.path(name) for name in ("three", "two", "one")]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [[word for word in call.split() if word.startswith("example.org/")] for call in calls] == [
        ["example.org/tool/two"],
        ["example.org/tool/one", "example.org/tool/three"],
    ]


def test_what_a_killed_build_left_goes_with_the_next(
    module: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROGRAMS, "tool", module)
    building = fake_go(tmp_path / "cache", 'echo built >"$last/cmd"')
    leftover = building.path("tool").with_name(".build-killed") / "cmd"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    building.built("tool")
    assert not leftover.parent.exists()


@pytest.mark.parametrize(
    ("package", "binary"),
    [("go.etcd.io/etcd/server/v3", "server"), ("./gpu-plugin", "gpu-plugin"), ("a.org/cmd/operator.v1", "operator.v1")],
)
def test_a_binary_is_named_as_go_names_it(package: str, binary: str) -> None:
    assert Program("name", "module", "source", package).binary == binary
