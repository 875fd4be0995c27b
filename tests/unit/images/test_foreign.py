import io
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.progress import Progress
from images import foreign
from images.foreign import ForeignImages
from images.recipes import EVALUATOR, OPERATOR


def program(folder: Path, name: str, script: str = "exit 0") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"CLUSTER": "local"}, None),
        ({"CLUSTER": "current"}, "docker"),
        ({"CONTAINER_TOOL": "podman"}, "podman"),
        ({"CONTAINER_TOOL": "podman", "CLUSTER": "current"}, "podman"),
    ],
)
def test_the_environment_chooses_the_tool(tmp_path: Path, environ: dict[str, str], expected: str | None) -> None:
    for name in foreign.TOOLS:
        program(tmp_path, name)
    assert foreign.tool({**environ, "PATH": str(tmp_path)}) == expected


@pytest.mark.parametrize("environ", [{"CLUSTER": "current"}, {"CONTAINER_TOOL": "podman"}])
def test_a_tool_that_is_not_there_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ClusterError, match="podman is not there"):
        foreign.tool({**environ, "PATH": str(tmp_path)})


def images(root: Path, tool: str, **environ: str) -> ForeignImages:
    return ForeignImages(tool, root, environ, Progress(io.StringIO()))


def test_the_dockerfiles_own_defaults_hold(tmp_path: Path) -> None:
    expected = ["docker", "build", "--file=operator/Dockerfile", "--tag=sidecar-operator:dev", "."]
    assert images(tmp_path, "docker").command(OPERATOR) == expected


def test_base_and_flavour_can_be_chosen(tmp_path: Path) -> None:
    command = images(tmp_path, "podman", BASE_IMAGE="mine", TENSORFLOW="cpu").command(EVALUATOR)
    assert command[2:4] == ["--build-arg=BASE_IMAGE=mine", "--build-arg=TENSORFLOW=cpu"]


def test_the_tool_runs_in_the_repository(tmp_path: Path) -> None:
    tool = program(tmp_path, "docker", 'pwd > "$PWD/called"; echo "$@" >> "$PWD/called"')
    images(tmp_path, str(tool)).build(OPERATOR)
    where, arguments = (tmp_path / "called").read_text().splitlines()
    assert where == str(tmp_path)
    assert arguments.startswith("build --file=operator/Dockerfile")


def test_a_build_that_fails_is_an_error(tmp_path: Path) -> None:
    tool = program(tmp_path, "docker", "exit 7")
    with pytest.raises(ClusterError, match="could not build sidecar-operator"):
        images(tmp_path, str(tool)).build(OPERATOR)


def test_loading_hands_an_archive_to_the_tool_of_the_cluster(tmp_path: Path) -> None:
    program(tmp_path, "kubectl", "echo kind-mine")
    docker = program(tmp_path, "docker", 'echo image > "${2#--output=}"')
    program(tmp_path, "kind", f'cat "$3" > {tmp_path}/loaded; echo "$@" >> {tmp_path}/loaded')
    images(tmp_path, str(docker), PATH=f"{tmp_path}:/usr/bin:/bin").load(OPERATOR)
    content, arguments = (tmp_path / "loaded").read_text().splitlines()
    assert content == "image"
    assert arguments.startswith("load image-archive")
    assert arguments.endswith("sidecar-operator.tar --name mine")


@pytest.mark.parametrize(
    ("save", "context", "complaint"),
    [("exit 1", "kind-mine", "could not save"), ("exit 0", "gke_mine", "none of kind, k3d, minikube")],
)
def test_loading_that_cannot_be_done_says_why(tmp_path: Path, save: str, context: str, complaint: str) -> None:
    program(tmp_path, "kubectl", f"echo {context}")
    docker = program(tmp_path, "docker", save)
    with pytest.raises(ClusterError, match=complaint):
        images(tmp_path, str(docker), PATH=f"{tmp_path}:/usr/bin:/bin").load(OPERATOR)
