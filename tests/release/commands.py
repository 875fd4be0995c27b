"""Runs other programs for the checks: git, uv, make and what they installed.

The checks are given a `Run`, so that their tests decide where it runs; a program that fails is a `CommandError`
with the end of its output, never a traceback of `subprocess`.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SHOWN = 2000
"""How many characters of a failed program's output are shown."""


class CommandError(Exception):
    """A program ended with a code that was not expected."""


@dataclass(frozen=True)
class Output:
    """How a program ended, and what it wrote to both outputs together."""

    code: int
    text: str


@dataclass(frozen=True)
class Commands:
    """Runs programs in a folder; `environment` replaces the process's own where it is set."""

    folder: Path
    environment: Mapping[str, str] | None = None

    def output(self, *command: str | Path) -> Output:
        """Run a program to its end, whatever its code."""
        ended = subprocess.run(
            [str(argument) for argument in command],
            cwd=self.folder,
            env=_without_make(os.environ if self.environment is None else self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Output(ended.returncode, ended.stdout)

    def succeed(self, *command: str | Path) -> str:
        """Run a program and return its output; CommandError if its code is not 0."""
        output = self.output(*command)
        if output.code:
            raise CommandError(f"{_shown(command)} failed ({output.code}): {output.text.strip()[-SHOWN:]}")
        return output.text


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join([Path(command[0]).name, *(str(argument) for argument in command[1:3])])


def _without_make(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a make of its own, to which the one that has called us lends no jobs."""
    return {name: value for name, value in environment.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
