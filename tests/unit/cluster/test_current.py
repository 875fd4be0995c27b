from argparse import Namespace
from pathlib import Path

import pytest

from cluster.current import Current, load_command
from cluster.errors import ClusterError

KUBECTL = """#!/bin/sh
case "$*" in
  "get --raw /readyz") [ -e "$KUBECONFIG" ] || { echo refused >&2; exit 1; }; echo ok ;;
  "config current-context") cat "$KUBECONFIG" ;;
esac
"""


@pytest.fixture
def current(tmp_path: Path) -> Current:
    """Return an environment whose kubectl finds a cluster, and whose other tools write down what they were told."""
    scripts = {"kubectl": KUBECTL, "kind": f'#!/bin/sh\necho "$@" >{tmp_path}/kind-called\n'}
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "config").write_text("kind-dev\n")
    return Current({"PATH": f"{tmp_path}:/usr/bin:/bin", "KUBECONFIG": str(tmp_path / "config")})


def test_up_only_looks_whether_the_cluster_answers(current: Current, capsys: pytest.CaptureFixture[str]) -> None:
    assert current.run(Namespace(command="up")) == 0
    assert "context kind-dev" in capsys.readouterr().out


def test_a_cluster_that_does_not_answer_is_an_error_with_advice(current: Current, tmp_path: Path) -> None:
    (tmp_path / "config").unlink()
    with pytest.raises(ClusterError, match=r"(?s)refused.*check the current context"):
        current.run(Namespace(command="up"))


@pytest.mark.parametrize("command", ["down", "build"])
def test_it_is_never_changed(current: Current, command: str) -> None:
    with pytest.raises(ClusterError, match="does not touch a cluster"):
        current.run(Namespace(command=command))


def test_images_are_loaded_by_the_cluster_s_own_tool(current: Current, tmp_path: Path) -> None:
    current.run(Namespace(command="load", archives=[Path("a.tar")]))
    assert (tmp_path / "kind-called").read_text() == "load image-archive a.tar --name dev\n"


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-dev", "kind load image-archive a.tar --name dev"),
        ("k3d-dev", "k3d image import a.tar --cluster dev"),
        ("minikube", "minikube image load a.tar"),
    ],
)
def test_each_tool_has_its_command(context: str, command: str) -> None:
    assert " ".join(load_command(context, Path("a.tar"))) == command


def test_an_unknown_cluster_gets_advice_about_a_registry() -> None:
    with pytest.raises(ClusterError, match=r"(?s)gke_x.*registry"):
        load_command("gke_x", Path("a.tar"))
