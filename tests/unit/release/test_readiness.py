import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from release import readiness
from release.commands import CommandError, Commands
from release.readiness import QUICK, Tree

Ask = Callable[[Tree], Iterator[str]]
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.3] - 2020-01-02

### Added

- Something.

## [1.2.2] - 2020-01-01
"""
MAKEFILE = "verify:\n\t@echo checked; exit $(CODE)\n"
IDENTITY = {f"GIT_{who}_{what}": "someone@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
NO_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, **IDENTITY, **NO_SETTINGS}
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env=environment)


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (root / "README.md").write_text("sidecar-operator:1.2.3\n")
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    (root / "Makefile").write_text(MAKEFILE)
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "--message=all")
    uv = program(tmp_path / "uv", '[ "$*" = "lock --check --quiet" ]')
    return Tree(root, Commands(root, {**os.environ, **NO_SETTINGS, "CODE": "0"}), uv)


def problems(ask: Ask, tree: Tree) -> list[str]:
    return list(ask(tree))


@pytest.mark.parametrize("ask", QUICK.values(), ids=QUICK)
def test_a_tree_that_is_ready(ask: Ask, tree: Tree) -> None:
    assert problems(ask, tree) == []


@pytest.mark.parametrize("version", ["1.2", "1.2.3.dev1", "v1.2.3", "1.2.3-rc1"])
def test_a_version_that_no_release_has(tree: Tree, version: str) -> None:
    (tree.root / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    assert len(problems(readiness.version_is_a_release, tree)) == 1


def test_a_place_with_another_version(tree: Tree) -> None:
    (tree.root / "README.md").write_text("\nsidecar-operator:1.2.2\n")
    advice = "run `make generate`"
    assert problems(readiness.version_agrees, tree) == [f"README.md:2: 1.2.2 instead of 1.2.3: {advice}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CHANGELOG.replace("1.2.3", "1.2.4"), "the newest section must be"),
        ("# Changelog\n\n## [Unreleased]\n\n- Something.\n", "the newest section must be"),
        (CHANGELOG.replace(" - 2020-01-02", ""), "has no date"),
        (CHANGELOG.replace("2020-01-02", "soon"), "has no date"),
        (CHANGELOG.replace("### Added\n\n- Something.\n", ""), "is empty"),
    ],
)
def test_a_changelog_that_lacks_something(tree: Tree, text: str, problem: str) -> None:
    (tree.root / "CHANGELOG.md").write_text(text)
    (message,) = problems(readiness.changelog_has_it, tree)
    assert problem in message


def test_what_is_not_committed_is_named(tree: Tree) -> None:
    (tree.root / "README.md").write_text("changed\n")
    (tree.root / "new").touch()
    assert problems(readiness.tree_is_clean, tree) == ["not committed:  M README.md", "not committed: ?? new"]


def test_a_tag_that_is_here(tree: Tree) -> None:
    git(tree.root, "tag", "v1.2.3")
    (message,) = problems(readiness.tag_is_free, tree)
    assert message.startswith("the tag v1.2.3 exists:")


def test_a_tag_that_is_at_the_remote(tree: Tree, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--bare", str(tree.root), "remote")
    git(tree.root, "remote", "add", "origin", str(tmp_path / "remote"))
    assert problems(readiness.tag_is_free, tree) == []
    git(tmp_path / "remote", "tag", "v1.2.3")
    (message,) = problems(readiness.tag_is_free, tree)
    assert message.startswith("the tag v1.2.3 exists at origin:")


def test_a_remote_that_does_not_answer(tree: Tree, tmp_path: Path) -> None:
    git(tree.root, "remote", "add", "origin", str(tmp_path / "nothing"))
    (message,) = problems(readiness.tag_is_free, tree)
    assert message.startswith("origin cannot be asked for its tags:")


def test_a_lock_that_is_not_up_to_date(tree: Tree) -> None:
    program(tree.uv, "echo The lockfile needs to be updated; exit 1")
    (message,) = problems(readiness.lock_is_current, tree)
    assert message == "uv.lock is not up to date: run `uv lock`. The lockfile needs to be updated"


def test_generated_files_that_are_not_up_to_date(tree: Tree) -> None:
    environment = {**os.environ, "CODE": "1", "MAKEFLAGS": " -j2 --jobserver-auth=3,4", "MAKELEVEL": "1"}
    (message,) = problems(
        readiness.generated_files_are_current, Tree(tree.root, Commands(tree.root, environment), tree.uv)
    )
    assert message.startswith("checked")


def test_a_folder_without_git(tree: Tree, tmp_path: Path) -> None:
    commands = Commands(tmp_path, {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})
    with pytest.raises(CommandError, match="git status --porcelain failed"):
        problems(readiness.tree_is_clean, Tree(tree.root, commands, tree.uv))
