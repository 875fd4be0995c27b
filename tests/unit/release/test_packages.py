"""How building, installing and starting are judged; `make release-check` does all of it with the real uv."""

import os
import sys
from pathlib import Path

import pytest

from release.commands import CommandError
from release.packages import Distribution, Packages

DISTRIBUTION = Distribution("some-program", ("--extra", "cpu"), ("--help",), 0, "usage")

UV = """#!{python}
import os, sys
from pathlib import Path

arguments = sys.argv[1:]
after = dict(zip(arguments, arguments[1:]))


def script(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\\n" + lines + "\\n")
    path.chmod(0o755)


with open("log", "a") as log:
    print(*arguments, file=log)
if arguments[0] == "build":
    target = Path(after["--out-dir"])
    target.mkdir()
    for suffix in os.environ["SUFFIXES"].split():
        (target / ("some_program-" + suffix)).touch()
elif arguments[0] == "export":
    Path(after["--output-file"]).touch()
elif arguments[0] == "venv":
    script(Path(arguments[-1], "bin", "python"), "echo " + os.environ["REPORTED"])
    script(Path(arguments[-1], "bin", "some-program"), os.environ["PROGRAM"])
"""

WORKING = {"SUFFIXES": "1.2.3.tar.gz 1.2.3-py3-none-any.whl", "REPORTED": "1.2.3", "PROGRAM": "echo usage: $*"}


def packages(tmp_path: Path, **environment: str) -> Packages:
    uv = tmp_path / "uv"
    uv.write_text(UV.format(python=sys.executable))
    uv.chmod(0o755)
    folder = tmp_path / "folder"
    folder.mkdir()
    return Packages(tmp_path, folder, uv, Path(sys.executable), {**os.environ, **WORKING, **environment})


def test_a_distribution_that_works(tmp_path: Path) -> None:
    packages(tmp_path).check(DISTRIBUTION, "1.2.3")


def test_the_build_and_the_dependencies_are_pinned_with_hashes(tmp_path: Path) -> None:
    packages(tmp_path).check(DISTRIBUTION, "1.2.3")
    build, export, venv, dependencies, wheel = (tmp_path / "log").read_text().splitlines()
    assert "--build-constraints" in build
    assert "--require-hashes" in build
    assert "--frozen" in export
    assert "--package some-program --extra cpu" in export
    assert str(tmp_path / "folder" / "some-program") in venv
    assert "--no-deps --require-hashes" in dependencies
    assert wheel.endswith("some_program-1.2.3-py3-none-any.whl")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"SUFFIXES": "1.2.3.tar.gz"}, r"gave no some_program-1\.2\.3-py3-none-any\.whl, but some_program-1\.2\.3"),
        ({"SUFFIXES": "1.2.2.tar.gz"}, r"gave no some_program-1\.2\.3\.tar\.gz, but some_program-1\.2\.2\.tar\.gz"),
        ({"REPORTED": "1.2.2"}, r"reports the version 1\.2\.2, the project has 1\.2\.3"),
        ({"PROGRAM": "echo usage; exit 1"}, r"does not start \(1\): usage"),
        ({"PROGRAM": "echo something else"}, r"does not start \(0\): something else"),
    ],
)
def test_a_distribution_that_does_not_work(tmp_path: Path, environment: dict[str, str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        packages(tmp_path, **environment).check(DISTRIBUTION, "1.2.3")


def test_a_tool_that_fails_is_quoted(tmp_path: Path) -> None:
    broken = packages(tmp_path)
    broken.uv.write_text("#!/bin/sh\necho no network >&2\nexit 2\n")
    with pytest.raises(CommandError, match=r"^uv build --quiet failed \(2\): no network$"):
        broken.check(DISTRIBUTION, "1.2.3")
