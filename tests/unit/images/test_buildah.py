import io
import json
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.progress import Progress
from images import buildah
from images.buildah import Buildah
from images.recipes import EVALUATOR

LAYERS = {"top": {"diff-digest": "sha256:2", "parent": "low"}, "low": {"diff-digest": "sha256:1"}}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder for programs that stand in for buildah and containers-storage."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def builder(tmp_path: Path, programs: Path, **environ: str) -> tuple[Buildah, io.StringIO]:
    output = io.StringIO()
    path = f"{programs}:/usr/bin:/bin"
    return Buildah(tmp_path, "overlay", {"PATH": path, **environ}, Progress(output)), output


@pytest.mark.parametrize(("code", "driver"), [(0, "overlay"), (1, "vfs")])
def test_the_driver_is_one_that_works_and_is_kept(tmp_path: Path, programs: Path, code: int, driver: str) -> None:
    program(programs, "buildah", f"exit {code}")
    environ = {"PATH": f"{programs}:/usr/bin:/bin"}
    assert Buildah.open(tmp_path / "images", environ, Progress(io.StringIO())).driver == driver
    program(programs, "buildah", "exit 1")
    assert Buildah.open(tmp_path / "images", environ, Progress(io.StringIO())).driver == driver


def test_a_build_tells_its_long_steps_and_returns_the_id(tmp_path: Path, programs: Path) -> None:
    program(
        programs,
        "buildah",
        f"echo '[1/2] STEP 4/6: RUN something'; echo '--> noise'; echo sha256:abc > {tmp_path}/sidecar-evaluator.id",
    )
    local_builder, output = builder(tmp_path, programs)
    assert local_builder.build(EVALUATOR, tmp_path, {"TENSORFLOW": "cpu"}) == "abc"
    assert "evaluator: [1/2] STEP 4/6: RUN something" in output.getvalue()
    assert "noise" not in output.getvalue()


def test_a_failed_build_ends_with_the_last_words(tmp_path: Path, programs: Path) -> None:
    program(programs, "buildah", "echo 'no such package'; exit 2")
    local_builder, _ = builder(tmp_path, programs)
    with pytest.raises(ClusterError, match="no such package"):
        local_builder.build(EVALUATOR, tmp_path, {})


def test_a_private_authority_is_mounted_and_named(tmp_path: Path, programs: Path) -> None:
    program(programs, "buildah", f'echo "$@" > {tmp_path}/called; echo sha256:a > {tmp_path}/sidecar-evaluator.id')
    builder(tmp_path, programs, SSL_CERT_FILE="/etc/mine/all.crt")[0].build(EVALUATOR, tmp_path, {"TENSORFLOW": "cpu"})
    called = (tmp_path / "called").read_text()
    assert "--build-arg=TENSORFLOW=cpu --build-arg=SSL_CERT_FILE=/etc/mine/all.crt" in called
    assert "--volume=/etc/mine:/etc/mine:ro" in called


def test_layers_are_found_from_the_top_down(tmp_path: Path, programs: Path) -> None:
    for name, entry in {"image": {"layer": "top"}, **LAYERS}.items():
        (tmp_path / name).write_text(json.dumps([entry]))
    program(
        programs, "containers-storage", f'for last; do :; done; test "$1" = image && last=image; cat {tmp_path}/$last'
    )
    assert builder(tmp_path, programs)[0].layers("abc") == {"sha256:2": "top", "sha256:1": "low"}


def test_a_storage_that_fails_speaks(tmp_path: Path, programs: Path) -> None:
    program(programs, "containers-storage", "echo 'image not known' >&2; exit 1")
    local_builder, _ = builder(tmp_path, programs)
    with pytest.raises(ClusterError, match="image not known"):
        local_builder.manifest("abc")
    assert not local_builder.has("abc")


def test_this_pythons_own_variables_stay_out() -> None:
    assert buildah.environment({"PYTHONPATH": "tests", "HOME": "/h"}) == {"HOME": "/h"}


def test_a_tidy_storage_has_no_container_no_mount_and_no_old_layer(tmp_path: Path, programs: Path) -> None:
    called = tmp_path / "called"
    old = {"id": "old", "diff-size": 1 << 30}
    (tmp_path / "images").write_text(json.dumps([{"id": "outdated", "layer": "old"}]))
    (tmp_path / "layers").write_text(json.dumps([old]))
    program(programs, "buildah", f'for last; do :; done; echo "buildah $last" >> {called}')
    answer = (
        f'case "$1" in images|layers) cat {tmp_path}/$1;; *) for last; do :; done; echo "$1 $last" >> {called};; esac'
    )
    program(programs, "containers-storage", answer)
    builder(tmp_path, programs)[0].tidy()
    first, second, third = called.read_text().splitlines()
    assert (first, second) == ("buildah --all", "delete-image outdated")
    assert third.startswith("shutdown ")
