"""The evaluation loop: for each group that the watcher selects, read, evaluate, settle, write.

Built by `run` and by `SidecarEvaluator`, with everything it touches as an argument. It turns every
error about one checkpoint into that checkpoint's outcome; only errors that concern all of them
leave it. It knows neither TensorFlow nor Kubernetes.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.prefetcher import Prefetcher
from sidecar_evaluator.discovery.iterator import Candidate, Group, Remaining, Watcher
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
from sidecar_evaluator.evaluator import Loaded
from sidecar_evaluator.results import ledger
from sidecar_evaluator.results.ledger import Ended, Results, Rules
from sidecar_evaluator.results.outcome import NO_SCORES, Outcome, OutcomeKind, Reason, Score, label
from sidecar_evaluator.results.ranking import primary_score
from sidecar_evaluator.runtime.clock import Clock
from sidecar_evaluator.runtime.heartbeat import Heartbeat
from sidecar_evaluator.writers.interface import Phase, Report, Writer

_log = logging.getLogger(__name__)

_NOT_THE_EVALUATION = (CheckpointError, ConfigurationError, IterationsMissingError, Stopped)

_REASONS: dict[type[CheckpointError], Reason] = {
    CheckpointUnreadable: Reason.UNREADABLE,
    CheckpointIncompatible: Reason.INCOMPATIBLE,
}

Export = Callable[[Path], None]


class Evaluator(Protocol):
    """What the loop asks of a model; see `ModelEvaluation`."""

    def read(self, checkpoint: Checkpoint) -> Weights:
        """Read a checkpoint into host memory."""

    def score(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        """Score each of them, in one pass over the data."""

    def export(self, weights: Weights, path: Path) -> None:
        """Write the model with these weights to a file."""


@dataclass(frozen=True)
class _Running:
    """The checkpoint in hand and when it was taken up, by both clocks."""

    checkpoint: Checkpoint
    began: float
    began_monotonic: float


@dataclass(frozen=True)
class _Read:
    """A checkpoint in hand that has been read whole."""

    running: _Running
    weights: Weights

    @property
    def loaded(self) -> Loaded:
        """The weights and the step that the evaluation shows."""
        return Loaded(self.weights, self.step, self.running.checkpoint)

    @property
    def step(self) -> int | None:
        """The training's iterations, or the number in the name where the format holds none."""
        iterations = self.weights.iterations
        return self.running.checkpoint.number if iterations is None else iterations


@dataclass
class Loop:
    """Evaluates groups one after the other; `results` is the newest state of the ledger.

    `timeout` limits one checkpoint, in seconds: past it `abandon` settles the checkpoint from
    another thread, which then ends the process. `enter` is told which phase begins. `keep_best` is
    called when a checkpoint has become the best, with a way to write its weights from memory.
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
    keep_best: Callable[[Checkpoint, Outcome, Export], object] = lambda *_: None
    prefetcher: Prefetcher | None = None
    _running: tuple[_Running, ...] = ()
    _settling: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Results:
        """Evaluate until the watcher ends or is stopped; return what the ledger then holds."""
        self.prefetcher = self.prefetcher or Prefetcher(self.evaluator.read)
        self.enter(Phase.WAITING)
        for group in self.watcher:
            try:
                self._handle(group, self.prefetcher)
            except Stopped:
                names = ", ".join(candidate.checkpoint.name for candidate in group)
                _log.info("Stopped while %s was evaluated.", names)
                break
            self.enter(Phase.WAITING)
        if self.watcher.ended:
            _log.info("Nothing is left to evaluate: %s.", self.watcher.ended)
            self._require_scores()
            self.results = replace(self.results, ended=Ended(self.watcher.ended, self.clock.time()))
            self.writer.write(Report(None, self.results))
        return self.results

    def _require_scores(self) -> None:
        """Say it loudly where every checkpoint failed: it is the entry point then, not a checkpoint."""
        counts, history = self.results.counts, self.results.history
        if counts.failed and not counts.evaluated:
            last = f" The last one, {history[0].checkpoint}: {history[0].message}" if history else ""
            _log.error("No checkpoint could be evaluated, %d failed.%s", counts.failed, last)

    def abandon(self) -> None:
        """Settle the checkpoint in hand as timed out; of several the first, so that each gets its turn."""
        for running in self._running[:1]:
            message = f"It was not evaluated within the limit of {self.timeout or 0:g} s; raise the limit."
            outcome = self._failed(running, Reason.TIMED_OUT, message)
            self._settle(running, outcome, self.watcher.abandon(running.checkpoint))

    def _handle(self, group: Group, prefetcher: Prefetcher) -> None:
        began, began_monotonic = self.clock.time(), self.clock.monotonic()
        self._running = tuple(_Running(candidate.checkpoint, began, began_monotonic) for candidate in group)
        self.heartbeat.begin(self.timeout and self.timeout * len(group))
        self.enter(Phase.RESTORING)
        pairs = zip(group, self._running, strict=True)
        taken = [read for candidate, running in pairs if (read := self._take(candidate, running, prefetcher))]
        outcomes = self._evaluate(taken, prefetcher)
        self.heartbeat.begin(self.timeout)
        self.enter(Phase.PUBLISHING)
        for read, outcome in zip(taken, outcomes, strict=True):
            self._publish(read, outcome)
        self._running = ()
        self.heartbeat.end()

    def _publish(self, read: _Read, outcome: Outcome) -> None:
        self._settle(read.running, outcome)
        if self.results.best is outcome:
            export = partial(self.evaluator.export, read.weights)
            self.keep_best(read.running.checkpoint, outcome, export)
        self._require_primary(outcome)

    def _require_primary(self, outcome: Outcome) -> None:
        """Stop a run whose primary metric no score has: there would never be a best checkpoint."""
        primary = self.rules.primary
        if primary and outcome.scores and primary_score(outcome, primary) is None:
            known = ", ".join(label(score) for score in outcome.scores)
            raise ConfigurationError(f"The model has no metric {primary.name}; name one of: {known}.")

    def _take(self, candidate: Candidate, running: _Running, prefetcher: Prefetcher) -> _Read | None:
        """Read one checkpoint; settle it where it cannot be read, unless it is to be tried again."""
        try:
            if candidate.error and not prefetcher.holds(candidate.checkpoint):
                raise candidate.error
            _log.info("Evaluation starts: loading %s", running.checkpoint.path)
            return _Read(running, prefetcher.take(candidate.checkpoint))
        except (Exception, SystemExit) as error:
            outcome = self._unread(candidate, running, error)
            if outcome:
                self._settle(running, outcome)
            return None

    def _unread(self, candidate: Candidate, running: _Running, error: BaseException) -> Outcome | None:
        """Return what a failed read means; None where the checkpoint is to be read again."""
        if is_storage_gone(error):
            raise StorageGoneError(f"The storage has died: {first_line(error)}") from error
        if self._may_heal(candidate, error) and self.watcher.retry(candidate.checkpoint, str(error)):
            return None
        match error:
            case CheckpointGone():
                return replace(self._failed(running, None, str(error)), kind=OutcomeKind.GONE)
            case CheckpointError():
                return self._failed(running, _REASONS[type(error)], str(error))
            case IterationsMissingError() if self.results.counts.evaluated:
                return self._failed(running, Reason.ITERATIONS_MISSING, str(error))
            case IterationsMissingError() | ConfigurationError() | Stopped():
                raise error  # the way in which training saves is wrong, not one checkpoint
        _log.debug("Reading failed.", exc_info=error)
        return self._failed(running, Reason.EVALUATION_ERROR, first_line(error))

    def _may_heal(self, candidate: Candidate, error: BaseException) -> bool:
        """Tell whether another attempt makes sense: also for what is listed but not found, as some mounts do."""
        if candidate.error is not None:
            return False
        if isinstance(error, CheckpointGone):
            return self.watcher.still_lists(candidate.checkpoint)
        return isinstance(error, CheckpointUnreadable)

    def _evaluate(self, group: Sequence[_Read], prefetcher: Prefetcher) -> list[Outcome]:
        """Evaluate what was read, together; one by one where that fails, to tell which one it is."""
        if not group:
            return []
        self.enter(Phase.EVALUATING)
        taken = [read.running.checkpoint for read in group]
        try:
            with prefetcher.ahead(lambda: self.watcher.upcoming(taken, len(group))):
                scored = self.evaluator.score([read.loaded for read in group])
        except (Exception, SystemExit) as error:
            if is_storage_gone(error):
                raise StorageGoneError(f"The storage has died: {first_line(error)}") from error
            if isinstance(error, _NOT_THE_EVALUATION):
                raise
            _log.debug("Evaluation failed.", exc_info=True)
            if len(group) > 1:
                return [outcome for read in group for outcome in self._evaluate([read], prefetcher)]
            return [self._failed(group[0].running, Reason.EVALUATION_ERROR, first_line(error))]
        pairs = zip(group, scored, strict=True)
        return [self._scored(read, scores, len(group)) for read, scores in pairs]

    def _scored(self, read: _Read, scores: tuple[Score, ...], shared_by: int) -> Outcome:
        if not scores:
            return self._failed(read.running, Reason.NO_METRICS, NO_SCORES)
        made = self._made(read.running, OutcomeKind.EVALUATED)
        return replace(made, step=read.step, scores=scores, duration=made.duration / shared_by)

    def _failed(self, running: _Running, reason: Reason | None, message: str) -> Outcome:
        return replace(self._made(running, OutcomeKind.FAILED), reason=reason, message=message)

    def _made(self, running: _Running, kind: OutcomeKind) -> Outcome:
        checkpoint = running.checkpoint
        return Outcome(
            checkpoint=checkpoint.name,
            kind=kind,
            number=checkpoint.number,
            started_at=running.began,
            evaluated_at=self.clock.time(),
            duration=self.clock.monotonic() - running.began_monotonic,
            modified_at=checkpoint.modified_at,
        )

    def _settle(self, running: _Running, outcome: Outcome, remaining: Remaining | None = None) -> None:
        """Settle once: the loop and the watchdog may both have an outcome for one checkpoint."""
        with self._settling:
            if all(other.checkpoint is not running.checkpoint for other in self._running):
                return
            self._running = tuple(other for other in self._running if other.checkpoint is not running.checkpoint)
        if remaining is None:
            remaining = self.watcher.settle(running.checkpoint, evaluated=outcome.kind is OutcomeKind.EVALUATED)
        settled = ledger.settle(self.results, outcome, self.rules, skipped=remaining.skipped, pending=remaining.pending)
        self.results = replace(settled, backlog=remaining.backlog)
        self.writer.write(Report(outcome, self.results))
