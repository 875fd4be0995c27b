"""The evaluation loop: for each checkpoint that the watcher selects, evaluate, settle, write.

Built by `run` and by `SidecarEvaluator`, with everything it touches as an argument. It turns every
error about one checkpoint into that checkpoint's outcome; only errors that concern all of them
leave it. It knows neither TensorFlow nor Kubernetes.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from sidecar_evaluator import ledger
from sidecar_evaluator.best import primary_score
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.clock import Clock
from sidecar_evaluator.errors import (
    CheckpointError,
    CheckpointGone,
    CheckpointIncompatible,
    CheckpointUnreadable,
    ConfigurationError,
    IterationsMissingError,
    Stopped,
    StorageGoneError,
    first_line,
    is_storage_gone,
)
from sidecar_evaluator.heartbeat import Heartbeat
from sidecar_evaluator.ledger import Ended, Results, Rules
from sidecar_evaluator.outcome import Outcome, OutcomeKind, Reason, Score, label
from sidecar_evaluator.watching import Candidate, Watcher
from sidecar_evaluator.writers.interface import Phase, Report, Writer

_log = logging.getLogger(__name__)

_NOT_THE_EVALUATION = (CheckpointError, IterationsMissingError, Stopped)


class Evaluator(Protocol):
    """What the loop asks of a model."""

    def restore(self, checkpoint: Checkpoint) -> int | None:
        """Load the checkpoint; return the training iterations."""

    def score(self) -> tuple[Score, ...]:
        """Score what was loaded."""


@dataclass(frozen=True)
class _Running:
    """The checkpoint in hand and when it was taken up, by both clocks."""

    checkpoint: Checkpoint
    began: float
    began_monotonic: float


@dataclass
class Loop:
    """Evaluates candidates one after the other; `results` is the newest state of the ledger.

    `timeout` limits one checkpoint, in seconds: past it `abandon` settles the checkpoint from
    another thread, which then ends the process. `enter` is told which phase begins.
    """

    watcher: Watcher
    evaluator: Evaluator
    writer: Writer
    clock: Clock
    rules: Rules = field(default_factory=Rules)
    results: Results = field(default_factory=Results)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    timeout: float | None = None
    enter: Callable[[Phase], None] = lambda _phase: None
    _running: _Running | None = None
    _settling: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Results:
        """Evaluate until the watcher ends or is stopped; return what the ledger then holds."""
        self.enter(Phase.WAITING)
        for candidate in self.watcher:
            try:
                self._handle(candidate)
            except Stopped:
                _log.info("Stopped while %s was evaluated.", candidate.checkpoint.name)
                break
            self.enter(Phase.WAITING)
        if self.watcher.ended:
            _log.info("Nothing is left to evaluate: %s.", self.watcher.ended)
            self.results = replace(self.results, ended=Ended(self.watcher.ended, self.clock.time()))
            self.writer.write(Report(None, self.results))
        return self.results

    def abandon(self) -> None:
        """Settle the checkpoint in hand as timed out."""
        running = self._running
        if running:
            message = f"It was not evaluated within the limit of {self.timeout or 0:g} s; raise the limit."
            self._settle(running, self._failed(running, Reason.TIMED_OUT, message))

    def _handle(self, candidate: Candidate) -> None:
        running = _Running(candidate.checkpoint, self.clock.time(), self.clock.monotonic())
        self._running = running
        self.heartbeat.begin(self.timeout)
        outcome = self._outcome(candidate, running)
        self.heartbeat.end()
        if outcome:
            self.enter(Phase.PUBLISHING)
            self._settle(running, outcome)
            self._require_primary(outcome)

    def _require_primary(self, outcome: Outcome) -> None:
        """Stop a run whose primary metric no score has: there would never be a best checkpoint."""
        primary = self.rules.primary
        if primary and outcome.scores and primary_score(outcome, primary) is None:
            known = ", ".join(label(score) for score in outcome.scores)
            raise ConfigurationError(f"The model has no metric {primary.name}; name one of: {known}.")

    def _outcome(self, candidate: Candidate, running: _Running) -> Outcome | None:
        """Evaluate one checkpoint; return None where it is to be tried again."""
        try:
            if candidate.error:
                raise candidate.error
            return self._evaluate(running)
        except CheckpointUnreadable as error:
            if candidate.error is None and self.watcher.retry(candidate.checkpoint, str(error)):
                return None
            return self._failed(running, Reason.UNREADABLE, str(error))
        except CheckpointGone as error:
            return replace(self._failed(running, None, str(error)), kind=OutcomeKind.GONE)
        except CheckpointIncompatible as error:
            return self._failed(running, Reason.INCOMPATIBLE, str(error))
        except IterationsMissingError as error:
            if not self.results.counts.evaluated:
                raise  # the way in which training saves is wrong, not one checkpoint
            return self._failed(running, Reason.ITERATIONS_MISSING, str(error))

    def _evaluate(self, running: _Running) -> Outcome:
        self.enter(Phase.RESTORING)
        _log.info("Evaluation starts: loading %s", running.checkpoint.path)
        try:
            step = self.evaluator.restore(running.checkpoint)
            self.enter(Phase.EVALUATING)
            scores = self.evaluator.score()
        except (Exception, SystemExit) as error:
            if is_storage_gone(error):
                raise StorageGoneError(f"The storage has died: {first_line(error)}") from error
            if isinstance(error, _NOT_THE_EVALUATION):
                raise
            _log.debug("Evaluation failed.", exc_info=True)
            return self._failed(running, Reason.EVALUATION_ERROR, first_line(error))
        if not scores:
            return self._failed(running, Reason.NO_METRICS, "The model returned no metrics.")
        return self._made(running, OutcomeKind.EVALUATED, step=step, scores=scores)

    def _failed(self, running: _Running, reason: Reason | None, message: str) -> Outcome:
        return self._made(running, OutcomeKind.FAILED, reason=reason, message=message)

    def _made(
        self,
        running: _Running,
        kind: OutcomeKind,
        *,
        step: int | None = None,
        scores: tuple[Score, ...] = (),
        reason: Reason | None = None,
        message: str = "",
    ) -> Outcome:
        checkpoint = running.checkpoint
        return Outcome(
            checkpoint=checkpoint.name,
            kind=kind,
            number=checkpoint.number,
            started_at=running.began,
            evaluated_at=self.clock.time(),
            duration=self.clock.monotonic() - running.began_monotonic,
            step=step,
            scores=scores,
            reason=reason,
            message=message,
            modified_at=checkpoint.modified_at,
        )

    def _settle(self, running: _Running, outcome: Outcome) -> None:
        """Settle once: the loop and the watchdog may both have an outcome for one checkpoint."""
        with self._settling:
            if self._running is not running:
                return
            self._running = None
        remaining = self.watcher.settle(running.checkpoint, evaluated=outcome.kind is OutcomeKind.EVALUATED)
        settled = ledger.settle(self.results, outcome, self.rules, skipped=remaining.skipped, pending=remaining.pending)
        self.results = replace(settled, backlog=remaining.backlog)
        self.writer.write(Report(outcome, self.results))
