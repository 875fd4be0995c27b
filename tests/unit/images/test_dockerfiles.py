import re
from pathlib import Path

import pytest

from images.local import ROOT
from images.recipes import ALL, EVALUATOR, Recipe

DOCKERFILES = pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.short)


def instructions(recipe: Recipe) -> list[str]:
    """Return the instructions of a Dockerfile, one line each, without comments."""
    text = re.sub(r"^#.*\n", "", (ROOT / recipe.dockerfile).read_text(), flags=re.MULTILINE)
    return [line for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines() if line]


def final_stage(recipe: Recipe) -> list[str]:
    lines = instructions(recipe)
    return lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]


@DOCKERFILES
def test_the_default_base_is_python_slim(recipe: Recipe) -> None:
    assert instructions(recipe)[0] == "ARG BASE_IMAGE=python:3.11-slim"
    assert {line.split()[1] for line in instructions(recipe) if line.startswith("FROM ")} == {"${BASE_IMAGE}"}


@DOCKERFILES
def test_the_image_runs_as_a_numeric_user_that_is_not_root(recipe: Recipe) -> None:
    assert [line for line in final_stage(recipe) if line.startswith("USER")] == ["USER 65532:65532"]


@DOCKERFILES
def test_the_project_is_the_last_layer(recipe: Recipe) -> None:
    *_, entrypoint, last = final_stage(recipe)
    assert entrypoint == f'ENTRYPOINT ["{recipe.name}"]'
    assert last == "COPY --from=project /opt/project /opt/venv"


@DOCKERFILES
@pytest.mark.parametrize(
    "variable", ["PYTHONSAFEPATH=1", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "HOME=/tmp"]
)
def test_the_environment_is_that_of_a_read_only_container(recipe: Recipe, variable: str) -> None:
    (environment,) = [line for line in final_stage(recipe) if line.startswith("ENV ")]
    assert variable in environment.split()


@DOCKERFILES
def test_every_installation_is_pinned_with_hashes(recipe: Recipe) -> None:
    installs = [part for line in instructions(recipe) for part in line.split("&&") if "pip install" in part]
    assert len(installs) == 3
    assert all("--require-hashes" in part or "--no-index" in part for part in installs)
    assert all("--no-deps" in part for part in installs)


@DOCKERFILES
def test_no_package_index_is_baked_in(recipe: Recipe) -> None:
    text = (ROOT / recipe.dockerfile).read_text()
    assert not re.search(r"index-url|INDEX_URL|UV_INDEX|UV_DEFAULT_INDEX|extra-index|https?://", text)


def test_the_default_flavour_of_tensorflow_is_cuda() -> None:
    assert "ARG TENSORFLOW=cuda" in instructions(EVALUATOR)


@DOCKERFILES
@pytest.mark.parametrize("name", ["uv.txt", "build.txt"])
def test_the_tools_of_the_build_have_sums(recipe: Recipe, name: str) -> None:
    text = Path(ROOT, recipe.folder, name).read_text()
    pins = re.findall(r"^\S+==\S+ \\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^\S+==", text, re.MULTILINE)) > 0
