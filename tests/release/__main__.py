"""Command line: `python -m release stamp [--check]` and `python -m release check --uv PATH`.

The first is called by `make generate` and `make verify`, the second by `make release-check`. It prints one line for
each question, and below it what is wrong; the exit code is 1 if anything is.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from release.commands import CommandError, Commands
from release.packages import Packages
from release.readiness import QUICK, Tree, packages_work
from release.version import ROOT, outdated, project_version, stamp


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run one command on the tree below the root; return the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "check":
        return 0 if check(root, arguments.uv.absolute()) else 1
    return verify(root) if arguments.check else write(root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("release", description="The project's version, and whether it can be released.")
    commands = parser.add_subparsers(dest="command", required=True)
    stamping = commands.add_parser("stamp", help="write the version of pyproject.toml wherever it is named")
    stamping.add_argument("--check", action="store_true", help="write nothing, fail if a place differs")
    checking = commands.add_parser("check", help="say whether the tree is ready to be released")
    checking.add_argument("--uv", type=Path, required=True, help="the uv program")
    return parser


def write(root: Path) -> int:
    """Stamp the version and print the files that changed."""
    for path in stamp(root):
        print(path)
    return 0


def verify(root: Path) -> int:
    """Print the places with another version; return 1 if there are some."""
    places = outdated(root)
    for place in places:
        print(f"{place.path}:{place.line}: {place.version} is not the project's version: run `make generate`")
    return 1 if places else 0


def check(root: Path, uv: Path) -> bool:
    """Ask all questions, print the answers, and return whether the tree is ready."""
    tree = Tree(root, Commands(root), uv)
    print(f"version {tree.version}", flush=True)
    answers = [_answered(question, _problems(ask(tree))) for question, ask in QUICK.items()]
    with tempfile.TemporaryDirectory() as folder:
        packages = Packages(root, Path(folder), uv, Path(sys.executable), os.environ)
        answers.append(_answered("both distributions build, install and start", packages_work(tree, packages)))
    ready = all(answers)
    print(f"ready: git tag v{project_version(root)}" if ready else "not ready")
    return ready


def _problems(answers: Iterable[str]) -> list[str]:
    try:
        return list(answers)
    except CommandError as error:
        return [str(error)]


def _answered(question: str, answers: Iterable[str]) -> bool:
    problems = list(answers)
    print(f"{'FAIL' if problems else 'ok  '} {question}", flush=True)
    for problem in problems:
        print("     " + problem.replace("\n", "\n     "), flush=True)
    return not problems


if __name__ == "__main__":
    sys.exit(main())
