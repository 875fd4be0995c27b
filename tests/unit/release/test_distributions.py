"""The version stands once: both distributions take it from the workspace when they are built."""

import re
import tomllib
from importlib.metadata import version
from typing import Any

import pytest

from release.packages import BUILD_TOOLS
from release.version import ROOT, project_version

FOLDERS = {"sidecar-operator": "operator", "sidecar-evaluator": "evaluator_image"}
DISTRIBUTIONS = pytest.mark.parametrize("name", FOLDERS)


def pyproject(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / FOLDERS[name] / "pyproject.toml").read_text())


@DISTRIBUTIONS
def test_the_installed_distribution_has_the_workspaces_version(name: str) -> None:
    assert version(name) == project_version()


@DISTRIBUTIONS
def test_no_distribution_has_a_version_of_its_own(name: str) -> None:
    assert "version" not in pyproject(name)["project"]


@DISTRIBUTIONS
def test_the_pattern_finds_the_version_and_only_once(name: str) -> None:
    source = pyproject(name)["tool"]["hatch"]["version"]
    text = (ROOT / FOLDERS[name] / source["path"]).read_text()
    assert re.findall(source["pattern"], text, re.MULTILINE) == [project_version()]


@DISTRIBUTIONS
def test_the_images_build_has_the_file_that_holds_the_version(name: str) -> None:
    folder = FOLDERS[name]
    dockerfile = (ROOT / folder / "Dockerfile").read_text()
    assert re.search(r"^COPY pyproject\.toml .*/build/$", dockerfile, re.MULTILINE)
    assert f"COPY {folder} /build/{folder}\n" in dockerfile


def test_the_pinned_build_tools_exist() -> None:
    assert "hatchling==" in (ROOT / BUILD_TOOLS).read_text()
