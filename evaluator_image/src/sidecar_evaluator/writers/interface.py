"""What a sink of results must offer, and what it is given.

The loop writes one report for each settled checkpoint and one at a drained end. A writer never
raises for an error of the sink that may pass, and never blocks the loop on a network or a disk.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.outcome import Outcome


class Phase(StrEnum):
    """What the loop spends its time on."""

    WAITING = "waiting"
    RESTORING = "restoring"
    EVALUATING = "evaluating"
    PUBLISHING = "publishing"


@dataclass(frozen=True)
class Report:
    """One outcome, None at the drained end, and the ledger after it."""

    outcome: Outcome | None
    results: Results


class Writer(Protocol):
    """A sink of results."""

    def write(self, report: Report) -> None:
        """Take one report."""

    def flush(self, timeout: float) -> bool:
        """Wait, at most `timeout` seconds, until all is written; return whether it is."""

    def close(self) -> None:
        """Let go of files and threads."""
