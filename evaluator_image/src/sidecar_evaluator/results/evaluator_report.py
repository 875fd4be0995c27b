"""What an evaluator says about itself in `status.results`: which one it is, and what is in its way.

`commands.session` makes these values, the status writer publishes them beside the results, and the operator
turns a problem into a condition. Values only. Messages say what is wrong, where, and what to do, and are bounded.
"""

from dataclasses import dataclass
from enum import StrEnum


class ProblemReason(StrEnum):
    """Why the evaluator finds nothing to evaluate, or not what it should."""

    DIRECTORY_MISSING = "DirectoryMissing"
    NO_CHECKPOINTS = "NoCheckpoints"
    CHECKPOINTS_UNREADABLE = "CheckpointsUnreadable"
    DIRECTORY_MOVED = "DirectoryMoved"


@dataclass(frozen=True)
class Problem:
    """What is in the evaluator's way now; `at` is when it was noticed, in seconds since the epoch."""

    reason: ProblemReason
    message: str
    at: float


class BeginningReason(StrEnum):
    """Why results begin anew although there were some."""

    CODE_CHANGED = "CodeChanged"


@dataclass(frozen=True)
class BeganAnew:
    """That the results so far were laid aside; `at` is when, in seconds since the epoch."""

    reason: BeginningReason
    message: str
    at: float


@dataclass(frozen=True)
class EvaluatorReport:
    """Which evaluator the results come from, and with which code; `started_at` is in seconds since the epoch.

    `directory` is where the checkpoints are, "" where no link has led there.
    """

    pod: str
    started_at: float
    code_digest: str = ""
    directory: str = ""
