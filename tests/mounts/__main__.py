"""The command line: `python -m mounts prepare` makes the machine ready for the tests on real mounts.

It needs nothing but the standard library; what does not hold is one line and exit code 1.
"""

import argparse
import sys

from cluster.errors import ClusterError
from cluster.preflight import Machine
from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings
from mounts import preflight
from mounts.servers import PROGRAMS


def prepare(progress: Progress) -> None:
    """Check the machine, install its packages, build the programs."""
    preflight.check(Machine.this(), progress)
    Programs.of(Settings.from_environment().cache, progress).build(PROGRAMS)


def main() -> int:
    """Run one command; a `ClusterError` becomes one message and exit code 1."""
    parser = argparse.ArgumentParser(prog="mounts", description="real mounts for tests")
    parser.add_argument("command", choices=["prepare"])
    parser.parse_args()
    try:
        prepare(Progress())
    except ClusterError as error:
        print(f"mounts: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
