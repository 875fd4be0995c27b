"""The project's version, and every other place of the tree that names it.

The version stands in `[project]` of the root's pyproject.toml. Both distributions read it there when they are built;
documentation, manifests and image labels cannot, so that `stamp` writes it into them and `outdated` tells where it
differs. It must not touch the changelog or a decision record, which speak of earlier versions too.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUMBER = r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?"
FILES = (
    "README.md",
    "docs/*.md",
    "deploy/**/*.md",
    "deploy/**/*.yaml",
    "operator/Dockerfile",
    "evaluator_image/Dockerfile",
)
"""Patterns of the files that may name the version."""

PATTERNS = tuple(
    re.compile(rf"(?P<before>{before})(?P<version>{NUMBER})(?![\w.-]*\w)", re.MULTILINE)
    for before in (
        r"\bsidecar-(?:operator|evaluator):",
        r"\bnewTag: [\"']?",
        r"\borg\.opencontainers\.image\.version=[\"']?",
    )
)


@dataclass(frozen=True)
class Place:
    """Where a version stands: a path below the root, a line, and the version there."""

    path: Path
    line: int
    version: str


def project_version(root: Path = ROOT) -> str:
    """Return the version of the tree."""
    version: str = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return version


def places(root: Path = ROOT) -> Iterator[Place]:
    """Yield every place outside pyproject.toml that names the version of the project."""
    for path in _files(root):
        text = path.read_text()
        for pattern in PATTERNS:
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start("version")) + 1
                yield Place(path.relative_to(root), line, match["version"])


def outdated(root: Path = ROOT) -> list[Place]:
    """Return the places that name another version than the project's."""
    version = project_version(root)
    return [place for place in places(root) if place.version != version]


def stamp(root: Path = ROOT) -> list[Path]:
    """Write the project's version into all places; return the files that changed."""
    version, changed = project_version(root), sorted({place.path for place in outdated(root)})
    for path in changed:
        text = (root / path).read_text()
        for pattern in PATTERNS:
            text = pattern.sub(rf"\g<before>{version}", text)
        (root / path).write_text(text)
    return changed


def _files(root: Path) -> list[Path]:
    return sorted({path for pattern in FILES for path in root.glob(pattern)})
