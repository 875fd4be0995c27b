"""Runs another program to its end and returns what it printed; its own words become the error where it fails."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import ClusterError

SYSTEM_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def run(argv: Sequence[str | Path], *, stdin: str | None = None, seconds: float = 600.0) -> str:
    """Run a program with a plain environment; ClusterError with its error output if it fails."""
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(
            command, input=stdin, env=SYSTEM_PATH, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{' '.join(command[:4])} did not end within {seconds:.0f} s") from None
    if done.returncode:
        raise ClusterError(f"{' '.join(command[:6])}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def succeeds(argv: Sequence[str | Path], *, stdin: str | None = None) -> bool:
    """Run a program and say whether it ended well."""
    try:
        run(argv, stdin=stdin)
    except ClusterError:
        return False
    return True
