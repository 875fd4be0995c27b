"""Command line: `python -m checks` compares the tree with the limits, `--names` lists all vague names.

Called by `make lint`. It prints one line for each violation and the figures of each distribution; the exit code
is 1 if there is a violation.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from checks import source
from checks.rules import Figures, vague_names, violations
from checks.settings import ROOT, Distribution, Limits


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Check the tree below the root; return the exit code."""
    parser = argparse.ArgumentParser("checks", description="Size and naming rules of the project.")
    parser.add_argument("--names", action="store_true", help="list the bindings of vague names and end")
    arguments = parser.parse_args(argv)
    limits = Limits.from_pyproject(root / "pyproject.toml")
    results = [_check(root, row, limits, names=arguments.names) for row in limits.distributions]
    return 0 if all(results) else 1


def _check(root: Path, distribution: Distribution, limits: Limits, *, names: bool) -> bool:
    sources = source.read(root, distribution.folder)
    findings = list(vague_names(sources, limits)) if names else violations(sources, distribution, limits)
    for finding in findings:
        print(finding)
    if not names:
        print(summary(distribution, Figures.of(sources, limits)))
    return names or not findings


def summary(distribution: Distribution, figures: Figures) -> str:
    """Return a distribution's figures in one line."""
    functions = f"{figures.functions} functions of {figures.median:g} lines (median), {figures.percent_90} (90 %)"
    longest = f"{figures.longest_function} (longest); longest file {figures.longest_file}"
    names = f"vague names {figures.vague_names} of {distribution.max_vague_names}"
    lower = figures.vague_names < distribution.max_vague_names
    advice = f": lower max-vague-names in pyproject.toml to {figures.vague_names}" if lower else ""
    return f"{distribution.name}: {functions}, {longest}; {names}{advice}"


if __name__ == "__main__":
    sys.exit(main())
