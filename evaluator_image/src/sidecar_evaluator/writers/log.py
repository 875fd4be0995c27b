"""The log line of every settled checkpoint, in the words that users of the Keras 2 class search for."""

import logging

from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, label
from sidecar_evaluator.writers.interface import Report

_log = logging.getLogger(__name__)


class LogWriter:
    """Writes to Python's logging."""

    def write(self, report: Report) -> None:
        """Log what became of the checkpoint."""
        outcome = report.outcome
        if outcome is None:
            return
        if outcome.kind is OutcomeKind.EVALUATED:
            _log.info("End of evaluation. Metrics: %s", metrics_line(outcome))
            best = ", the best so far" if report.results.best is outcome else ""
            _log.info("Checkpoint %s took %.2f s%s.", _named(outcome), outcome.duration, best)
        else:
            reason = f" ({outcome.reason})" if outcome.reason else ""
            _log.warning("Checkpoint %s %s%s: %s", outcome.checkpoint, outcome.kind, reason, outcome.message)

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - the interface's signature
        """Return True: logging writes at once."""
        return True

    def close(self) -> None:
        """Do nothing."""


def _named(outcome: Outcome) -> str:
    return outcome.checkpoint if outcome.step is None else f"{outcome.checkpoint} at step {outcome.step}"


def metrics_line(outcome: Outcome) -> str:
    """Return `name=value` pairs, the name with its dataset where there are several."""
    return " ".join(f"{label(score)}={score.value}" for score in outcome.scores)
