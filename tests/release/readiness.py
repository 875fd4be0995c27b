"""Whether the tree is ready to be released: one function a question, each returns what is wrong, or nothing.

Called by the command line, in this order, the slow ones last. A check changes nothing in the tree and asks nothing
but git, uv and make.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from release.commands import CommandError, Commands
from release.packages import DISTRIBUTIONS, Packages
from release.version import NUMBER, outdated, project_version

SECTION = re.compile(r"^## \[(?P<name>[^\]]+)\](?P<rest>.*)$", re.MULTILINE)
NOT_FOUND = 2
"""What `git ls-remote --exit-code` returns when the remote has no such reference."""


@dataclass(frozen=True)
class Tree:
    """The tree that is checked, and the uv that its Makefile installed."""

    root: Path
    commands: Commands
    uv: Path

    @property
    def version(self) -> str:
        """The version to be released."""
        return project_version(self.root)


def version_is_a_release(tree: Tree) -> Iterator[str]:
    """The version has the form that tags and images of releases have."""
    if not re.fullmatch(NUMBER, tree.version):
        yield f"pyproject.toml: {tree.version!r} is not of the form 1.2.3 or 1.2.3rc1"


def version_agrees(tree: Tree) -> Iterator[str]:
    """Every place that names the version names this one."""
    for place in outdated(tree.root):
        yield f"{place.path}:{place.line}: {place.version} instead of {tree.version}: run `make generate`"


def changelog_has_it(tree: Tree) -> Iterator[str]:
    """The newest section of the changelog, after what is not released, is this version's and has a date."""
    text = (tree.root / "CHANGELOG.md").read_text()
    sections = [match for match in SECTION.finditer(text) if match["name"] != "Unreleased"]
    if not sections or sections[0]["name"] != tree.version:
        yield f"CHANGELOG.md: the newest section must be `## [{tree.version}] - <date>`"
    elif not re.fullmatch(r" - \d{4}-\d\d-\d\d", sections[0]["rest"]):
        yield f"CHANGELOG.md: the section {tree.version} has no date: `## [{tree.version}] - <date>`"
    elif not re.match(r"\s*[^#\s]|\s*###", text[sections[0].end() :]):
        yield f"CHANGELOG.md: the section {tree.version} is empty"


def tree_is_clean(tree: Tree) -> Iterator[str]:
    """What would be tagged is what is here."""
    for line in tree.commands.succeed("git", "status", "--porcelain").splitlines():
        yield f"not committed: {line}"


def tag_is_free(tree: Tree) -> Iterator[str]:
    """Neither here nor at the remote is the version's tag taken."""
    tag = f"v{tree.version}"
    if tree.commands.succeed("git", "tag", "--list", tag).strip():
        yield f"the tag {tag} exists: raise the version in pyproject.toml, then run `make generate`"
        return
    for remote in tree.commands.succeed("git", "remote").split():
        output = tree.commands.output("git", "ls-remote", "--exit-code", "--tags", remote, f"refs/tags/{tag}")
        if output.code == 0:
            yield f"the tag {tag} exists at {remote}: raise the version in pyproject.toml, then run `make generate`"
        elif output.code != NOT_FOUND:
            yield f"{remote} cannot be asked for its tags: {output.text.strip()}"


def lock_is_current(tree: Tree) -> Iterator[str]:
    """uv.lock is what the projects' requirements give."""
    output = tree.commands.output(tree.uv, "lock", "--check", "--quiet")
    if output.code:
        yield f"uv.lock is not up to date: run `uv lock`. {output.text.strip()[-500:]}"


def generated_files_are_current(tree: Tree) -> Iterator[str]:
    """`make verify` holds."""
    output = tree.commands.output("make", "--no-print-directory", "verify")
    if output.code:
        yield output.text.strip()[-2000:]


def packages_work(tree: Tree, packages: Packages) -> Iterator[str]:
    """Both distributions build, install, start and report the version."""
    for distribution in DISTRIBUTIONS:
        try:
            packages.check(distribution, tree.version)
        except CommandError as error:
            yield str(error)


QUICK = {
    "the version is one of a release": version_is_a_release,
    "the version is the same everywhere": version_agrees,
    "the changelog has a section for it": changelog_has_it,
    "everything is committed": tree_is_clean,
    "the tag is free": tag_is_free,
    "the lock is up to date": lock_is_current,
    "generated files are up to date": generated_files_are_current,
}
"""What is asked of the tree itself."""
