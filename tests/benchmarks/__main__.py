"""`make bench`: run the groups one after the other, each in its own process, and print one table.

The exit code is non-zero only where something is wrong, such as a score or a crash; a budget that is missed on a busy
machine is said in the table. `make bench BENCH=detection,memory` runs some groups.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import group, page, place
from benchmarks.processes import Child, ChildError
from benchmarks.rows import Row
from benchmarks.table import render

LIMIT = 1200.0
"""Seconds between two rows of a group before it is given up; filling an API server takes minutes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write where asked; return the exit code."""
    arguments = _parser().parse_args(argv)
    names = [name for name in arguments.only.split(",") if name] or list(group.NAMES)
    if unknown := set(names) - set(group.NAMES):
        print(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(group.NAMES)}", file=sys.stderr)
        return 2
    heading = place.describe()
    groups, failed = _measure(names)
    table = render(heading, groups)
    print(table)
    if arguments.output:
        arguments.output.write_text(table)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    if arguments.write:
        arguments.write.write_text(page.with_table(arguments.write.read_text(), table))
    return 0


def _measure(names: Sequence[str]) -> tuple[dict[str, list[Row]], list[str]]:
    """Return the rows of each group by its title, and the names of the groups that failed."""
    groups: dict[str, list[Row]] = {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as scratch:
        for name in names:
            began = time.monotonic()
            print(f"{name}: measuring", file=sys.stderr, flush=True)
            try:
                title, rows = _rows(name, Path(scratch))
            except ChildError as error:
                failed.append(name)
                print(f"{name}: failed\n{error}", file=sys.stderr, flush=True)
            else:
                groups[title] = rows
                print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return groups, failed


def _rows(name: str, scratch: Path) -> tuple[str, list[Row]]:
    with Child("benchmarks.group:run", name=name, scratch=str(scratch)) as child:
        title = str(child.next_report(LIMIT))
        return title, [Row.parse(value) for value in child.reports(LIMIT)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    add = parser.add_argument
    add("--only", default="", metavar="GROUP,...", help=f"run these groups only, of {', '.join(group.NAMES)}")
    add("--output", type=Path, metavar="FILE", help="write the table to this file too")
    add("--write", type=Path, metavar="PAGE", help="replace the table in this page, if nothing failed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
