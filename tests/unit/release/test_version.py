from pathlib import Path

import pytest

from release.version import Place, outdated, places, project_version, stamp

TEXTS = {
    "pyproject.toml": '[project]\nversion = "1.2.3"\n[tool.other]\nversion = "9.9.9"\n',
    "README.md": "docker build -t HOST/sidecar-operator:1.2.3 .\n- {name: sidecar-evaluator, newTag: 1.2.3}\n",
    "docs/install.md": "docker push HOST:5000/sidecar-evaluator:1.2.2\n",
    "deploy/gitops/kustomization.yaml": "images:\n  - name: sidecar-operator\n    newTag: '1.2.2'\n",
    "operator/Dockerfile": 'FROM python:3.11-slim\nLABEL org.opencontainers.image.version="1.2.2"\n',
    "CHANGELOG.md": "## [1.2.2] - 2020-01-02\n\n- sidecar-operator:1.2.2\n",
    "docs/decisions/0001-a.md": "It was sidecar-operator:1.2.2.\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_version_is_that_of_the_workspace(tree: Path) -> None:
    assert project_version(tree) == "1.2.3"


def test_outdated_places_have_file_line_and_version(tree: Path) -> None:
    assert outdated(tree) == [
        Place(Path("deploy/gitops/kustomization.yaml"), 3, "1.2.2"),
        Place(Path("docs/install.md"), 1, "1.2.2"),
        Place(Path("operator/Dockerfile"), 2, "1.2.2"),
    ]


def test_stamping_changes_the_versions_and_nothing_else(tree: Path) -> None:
    changed = stamp(tree)
    assert [str(path) for path in changed] == [
        "deploy/gitops/kustomization.yaml",
        "docs/install.md",
        "operator/Dockerfile",
    ]
    for path in changed:
        assert (tree / path).read_text() == TEXTS[str(path)].replace("1.2.2", "1.2.3")
    assert outdated(tree) == []
    assert stamp(tree) == []


def test_the_past_keeps_its_versions(tree: Path) -> None:
    stamp(tree)
    for name in ("CHANGELOG.md", "docs/decisions/0001-a.md"):
        assert (tree / name).read_text() == TEXTS[name]


@pytest.mark.parametrize(
    "text",
    ["sidecar-operator:dev", "other:1.2.2", "python:3.11-slim", "sidecar-operator:1.2.2-debug", "newTag: 1.2", "1.2.2"],
)
def test_what_names_no_version_of_the_project(tree: Path, text: str) -> None:
    (tree / "README.md").write_text(text)
    assert not [place for place in places(tree) if place.path == Path("README.md")]


@pytest.mark.parametrize("version", ["1.10.0", "2.0.0rc1"])
def test_every_form_of_a_version_is_stamped_and_read_again(tree: Path, version: str) -> None:
    (tree / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    stamp(tree)
    assert {place.version for place in places(tree)} == {version}


def test_the_projects_own_places_are_known_and_up_to_date() -> None:
    named = {str(place.path) for place in places()}
    assert {"README.md", "operator/Dockerfile", "evaluator_image/Dockerfile"} <= named
    assert outdated() == []
