"""One group of rows in a process of its own; the command asks for it by the module's name."""

import importlib
from dataclasses import asdict
from pathlib import Path

from benchmarks.processes import Report

NAMES = (
    "detection",
    "evaluating",
    "restoring",
    "backlog",
    "publishing",
    "memory",
    "model_size",
    "directory_size",
    "cold_start",
    "resuming",
    "operator_load",
)


def run(report: Report, name: str, scratch: str) -> None:
    """Report the group's title, then its rows one by one."""
    group = importlib.import_module(f"benchmarks.{name}")
    report(group.TITLE)
    for row in group.rows(Path(scratch)):
        report(asdict(row))
