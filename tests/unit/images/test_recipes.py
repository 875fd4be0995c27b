import re
import shutil
from pathlib import Path

import pytest

from images.local import ROOT
from images.recipes import ALL, COMMON, EVALUATOR, OPERATOR, OWN, Recipe

OWN_INPUTS = [f"operator/{name}" for name in OWN]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small copy of what the operator's image is made from."""
    for name in (*COMMON, *OWN_INPUTS, "operator/src/package/module.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def fingerprint(tree: Path, **arguments: str) -> str:
    return OPERATOR.fingerprint(tree, arguments)


@pytest.mark.parametrize("name", [*COMMON, *OWN_INPUTS, "operator/src/package/module.py", "operator/src/new.py"])
def test_a_changed_input_changes_the_fingerprint(tree: Path, name: str) -> None:
    before = fingerprint(tree)
    (tree / name).write_text("changed")
    assert fingerprint(tree) != before


def test_a_renamed_source_changes_the_fingerprint(tree: Path) -> None:
    before = fingerprint(tree)
    (tree / "operator/src/package/module.py").rename(tree / "operator/src/package/other.py")
    assert fingerprint(tree) != before


def test_an_argument_changes_the_fingerprint(tree: Path) -> None:
    assert fingerprint(tree, BASE_IMAGE="a") != fingerprint(tree, BASE_IMAGE="b")


@pytest.mark.parametrize(
    "name", ["operator/src/package/__pycache__/module.pyc", "evaluator_image/src/x.py", "docs/x.md"]
)
def test_what_the_image_is_not_made_from_leaves_the_fingerprint(tree: Path, name: str) -> None:
    before = fingerprint(tree)
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("something")
    assert fingerprint(tree) == before


def test_a_copied_tree_has_the_same_fingerprint(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy") / "tree"
    shutil.copytree(tree, copy)
    assert fingerprint(copy) == fingerprint(tree)


@pytest.mark.parametrize(
    ("recipe", "base", "flavour", "expected"),
    [
        (OPERATOR, "base", "cpu", {"BASE_IMAGE": "base"}),
        (EVALUATOR, "base", "cpu", {"BASE_IMAGE": "base", "TENSORFLOW": "cpu"}),
        (EVALUATOR, "", "", {}),
    ],
)
def test_only_what_is_chosen_is_handed_to_the_dockerfile(
    recipe: Recipe, base: str, flavour: str, expected: dict[str, str]
) -> None:
    assert recipe.arguments(base, flavour) == expected


def copied(dockerfile: Path) -> set[str]:
    """Return the sources of the Dockerfile's COPY lines that come from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", dockerfile.read_text(), re.MULTILINE)
    return {source for line in lines for source in line.split()[:-1]}


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.short)
def test_the_fingerprint_covers_all_that_the_dockerfile_copies(recipe: Recipe) -> None:
    inputs = {str(path.relative_to(ROOT)) for path in recipe.inputs(ROOT)}
    assert copied(ROOT / recipe.dockerfile) <= {*inputs, recipe.folder}


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.short)
def test_an_image_is_made_from_its_own_folder_and_the_lock(recipe: Recipe) -> None:
    outside = {path for path in copied(ROOT / recipe.dockerfile) if Path(path).parts[0] != recipe.folder}
    assert outside == {"pyproject.toml", "uv.lock"}


def test_the_context_holds_the_inputs_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    admitted = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    inputs = {f"{recipe.folder}/{name}" for recipe in ALL for name in ("src", *OWN)}
    assert admitted == {*COMMON, *inputs} - {".dockerignore", *(recipe.dockerfile for recipe in ALL)}
