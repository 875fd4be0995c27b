"""What workflows, hooks and `.ci/run` call, read from their files; used by the tests of this folder.

A shell line counts as a call of make if make is its program, be it under `sudo env`. Nothing is run.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.y*ml"))


def load(path: Path) -> dict[Any, Any]:
    """Parse a YAML file whose document is a mapping."""
    document = yaml.safe_load(path.read_text())
    assert isinstance(document, dict)
    return document


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    """Return the jobs of a workflow."""
    return dict(load(path)["jobs"])


def steps(path: Path) -> list[dict[str, Any]]:
    """Return all steps of a workflow or of a composite action."""
    document = load(path)
    holders = document["jobs"].values() if "jobs" in document else [document["runs"]]
    return [step for holder in holders for step in holder["steps"]]


def make_targets() -> set[str]:
    """Return the targets that the Makefile declares for people."""
    return set(re.findall(r"^\.PHONY: ([a-z0-9-]+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))


def called_targets(line: str) -> list[str] | None:
    """Return the targets that a shell line gives to make; None if it is no call of make."""
    words = shlex.split(line)
    if words[:2] == ["sudo", "env"]:
        words = [word for word in words[2:] if not re.match(r"[A-Z_]+=", word)]
    if not words or words[0] != "make":
        return None
    return [word for word in words[1:] if not word.startswith("-") and "=" not in word]
