"""The evaluation loop: each group of checkpoints is loaded, scored, settled and written, in that order.

Built by `assembly`, with everything it touches as an argument. It turns every error about one
checkpoint into that checkpoint's outcome; only errors that concern all of them leave it. It imports
neither TensorFlow nor the Kubernetes client.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from sidecar_evaluator.best_checkpoints.sources import Export
from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.prefetcher import Prefetcher
from sidecar_evaluator.checkpoints.second_look import require_still_whole
from sidecar_evaluator.discovery.backlog import Remaining
from sidecar_evaluator.discovery.iterator import CheckpointIterator, Group
from sidecar_evaluator.errors import (
    CheckpointError,
    CheckpointGone,
    CheckpointUnreadable,
    ConfigurationError,
    IterationsMissingError,
    ModelCodeError,
    Stopped,
    first_line,
    require_storage,
)
from sidecar_evaluator.evaluator import Loaded
from sidecar_evaluator.results import ledger
from sidecar_evaluator.results.ledger import Ended, Results, Rules
from sidecar_evaluator.results.outcome import (
    NO_SCORES,
    Outcome,
    OutcomeKind,
    Provenance,
    Reason,
    Score,
    reason_of,
)
from sidecar_evaluator.results.ranking import no_such_metric
from sidecar_evaluator.results.training_order import contradiction
from sidecar_evaluator.runtime.clock import Clock
from sidecar_evaluator.runtime.heartbeat import Heartbeat
from sidecar_evaluator.writers.interface import Phase, Report, Writer

_log = logging.getLogger(__name__)

_NOT_ABOUT_THE_CHECKPOINT = (ConfigurationError, Stopped)
_NOT_FROM_SCORING = (CheckpointError, IterationsMissingError, *_NOT_ABOUT_THE_CHECKPOINT)


class Evaluator(Protocol):
    """What the loop asks of a model; see `ModelEvaluator`."""

    def read(self, checkpoint: Checkpoint) -> Weights:
        """Read a checkpoint into host memory."""

    def score(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        """Score each of them, in one pass over the data."""

    def export(self, weights: Weights, path: Path) -> None:
        """Write the model with these weights to a file."""


@dataclass
class Loop:
    """Evaluates groups one after the other; `results` is the newest state of the ledger.

    `timeout` limits one checkpoint, in seconds: past it `abandon` settles the checkpoint from
    another thread, which then ends the process. `enter` is told which phase begins, `provenance`
    tells which code and image evaluate. `keep_best` is called when a checkpoint has become the best,
    with a way to write its weights from memory.
    """

    checkpoints: CheckpointIterator
    evaluator: Evaluator
    prefetcher: Prefetcher
    writer: Writer
    clock: Clock
    rules: Rules = field(default_factory=Rules)
    results: Results = field(default_factory=Results)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    timeout: float | None = None
    enter: Callable[[Phase], None] = lambda _phase: None
    provenance: Callable[[], Provenance] = Provenance
    keep_best: Callable[[Checkpoint, Outcome, Export], object] = lambda *_: None
    _is_order_doubted: bool = False
    _unsettled: Group = ()
    _began: float = 0.0
    _began_monotonic: float = 0.0
    _settling: threading.Lock = field(default_factory=threading.Lock)
    _recording: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Results:
        """Evaluate until no checkpoint can come any more, or a stop; return what the ledger then holds."""
        self.enter(Phase.WAITING)
        for group in self.checkpoints:
            try:
                self._evaluate(group)
            except Stopped:
                names = ", ".join(checkpoint.name for checkpoint in group)
                _log.info("Stopped while %s was evaluated.", names)
                break
            self.enter(Phase.WAITING)
        if self.checkpoints.ended:
            left_over = self.checkpoints.left_over
            instead = f" No checkpoint was found: {left_over.message}." if left_over else ""
            why = f" ({self.checkpoints.ended_by})" if self.checkpoints.ended_by else ""
            _log.info("Nothing is left to evaluate: %s%s.%s", self.checkpoints.ended, why, instead)
            self._log_if_all_failed()
            self.results = replace(self.results, ended=Ended(self.checkpoints.ended, self.clock.time()))
            self.writer.write(Report(None, self.results))
        return self.results

    def abandon(self) -> None:
        """Settle the checkpoint in hand as timed out; of several the first, so that each gets its turn."""
        for checkpoint in self._unsettled[:1]:
            message = f"It was not evaluated within the limit of {self.timeout or 0:g} s; raise the limit."
            outcome = self._failed(checkpoint, Reason.TIMED_OUT, message)
            self._settle(checkpoint, outcome, partial(self.checkpoints.abandon, checkpoint))

    def _evaluate(self, group: Group) -> None:
        """Take a group from its files to the last writer."""
        self._unsettled, self._began, self._began_monotonic = group, self.clock.time(), self.clock.monotonic()
        self.heartbeat.begin(self.timeout and self.timeout * len(group))
        self.enter(Phase.RESTORING)
        loaded = [item for checkpoint in group if (item := self._load(checkpoint))]
        outcomes = self._score(loaded)
        self.heartbeat.begin(self.timeout)
        self.enter(Phase.PUBLISHING)
        for item, outcome in zip(loaded, outcomes, strict=True):
            if self._was_whole(item):
                self._publish(item, outcome)
        self._unsettled = ()
        self.heartbeat.end()

    def _load(self, checkpoint: Checkpoint) -> Loaded | None:
        """Read one checkpoint; settle it where it cannot be read, unless it is to be tried again."""
        if checkpoint.is_complete:
            _log.info("Evaluation starts: loading %s", checkpoint.path)
        try:
            weights = self.prefetcher.take(checkpoint)
        except (Exception, SystemExit) as error:
            if not self._is_tried_again(checkpoint, error):
                self._settle_unread(checkpoint, error)
            return None
        return Loaded(checkpoint, weights)

    def _is_tried_again(self, checkpoint: Checkpoint, error: BaseException) -> bool:
        """Put off a checkpoint whose next read may succeed: also one that is listed but not found, as some mounts do.

        Raises StorageGoneError: no checkpoint can be read any more.
        """
        require_storage(error)
        if not checkpoint.is_complete:
            return False
        may_succeed = isinstance(error, CheckpointUnreadable) or (
            isinstance(error, CheckpointGone) and self.checkpoints.still_lists(checkpoint)
        )
        return may_succeed and self.checkpoints.retry(checkpoint, str(error))

    def _settle_unread(self, checkpoint: Checkpoint, error: BaseException) -> None:
        """Settle a checkpoint as gone or failed, unless the error is about how training saves all of them."""
        saves_no_iterations = isinstance(error, IterationsMissingError) and not self.results.counts.evaluated
        if saves_no_iterations or isinstance(error, _NOT_ABOUT_THE_CHECKPOINT):
            raise error
        if isinstance(error, CheckpointGone):
            outcome = replace(self._outcome(checkpoint, OutcomeKind.GONE), message=str(error))
        else:
            _log.debug("Reading failed.", exc_info=error)
            outcome = self._failed(checkpoint, reason_of(error), _words(error))
        self._settle(checkpoint, outcome)

    def _score(self, loaded: Sequence[Loaded]) -> list[Outcome]:
        """Score what was loaded, together; one by one where that fails, to tell which one it is."""
        if not loaded:
            return []
        self.enter(Phase.EVALUATING)
        taken = [item.checkpoint for item in loaded]
        try:
            with self.prefetcher.ahead(lambda: self.checkpoints.upcoming(taken, len(loaded))):
                scored = self.evaluator.score(loaded)
        except (Exception, SystemExit) as error:
            require_storage(error)
            if isinstance(error, _NOT_FROM_SCORING) and not isinstance(error, ModelCodeError):
                raise
            _log.debug("Evaluation failed.", exc_info=True)
            if len(loaded) > 1:
                return [outcome for item in loaded for outcome in self._score([item])]
            return [self._failed(loaded[0].checkpoint, reason_of(error), _words(error))]
        return [self._scored(item, scores, len(loaded)) for item, scores in zip(loaded, scored, strict=True)]

    def _was_whole(self, loaded: Loaded) -> bool:
        """Look at the files again; put the checkpoint off, or settle it, where it was not whole when it was read."""
        try:
            require_still_whole(loaded.checkpoint, loaded.weights, self.evaluator.read)
        except (Exception, SystemExit) as error:
            if not self._is_tried_again(loaded.checkpoint, error):
                self._settle_unread(loaded.checkpoint, error)
            return False
        return True

    def _publish(self, loaded: Loaded, outcome: Outcome) -> None:
        self._settle(loaded.checkpoint, outcome)
        if self.results.best is outcome:
            self.keep_best(loaded.checkpoint, outcome, partial(self.evaluator.export, loaded.weights))
        self._require_primary(outcome)

    def _settle(
        self, checkpoint: Checkpoint, outcome: Outcome, remaining: Callable[[], Remaining] | None = None
    ) -> None:
        """Settle once: the loop and the deadline's thread may both have an outcome for one checkpoint."""
        with self._settling:
            if all(unsettled is not checkpoint for unsettled in self._unsettled):
                return
            self._unsettled = tuple(unsettled for unsettled in self._unsettled if unsettled is not checkpoint)
        is_evaluated = outcome.kind is OutcomeKind.EVALUATED
        left = remaining() if remaining else self.checkpoints.settle(checkpoint, evaluated=is_evaluated)
        self._doubt_order(outcome)
        with self._recording:
            settled = ledger.settle(
                self.results,
                outcome,
                self.rules,
                skipped=left.skipped,
                pending=left.pending,
                pending_name=left.pending_name,
                pending_since=left.pending_since,
                is_retry=left.is_retry,
            )
            self.results = replace(settled, backlog=left.backlog)
            report = Report(outcome, self.results)
        self.writer.write(report)

    def _doubt_order(self, outcome: Outcome) -> None:
        """Tell once where names are in another order than steps or times: the latest may not be what it seems."""
        if self._is_order_doubted or not (doubt := contradiction(outcome, self.results.latest)):
            return
        self._is_order_doubted = True
        _log.warning("The order of the checkpoints is in doubt: %s. See docs/formats.md, Order.", doubt)

    def _scored(self, loaded: Loaded, scores: tuple[Score, ...], shared_by: int) -> Outcome:
        if not scores:
            return self._failed(loaded.checkpoint, Reason.NO_METRICS, NO_SCORES)
        outcome = self._outcome(loaded.checkpoint, OutcomeKind.EVALUATED)
        return replace(outcome, step=loaded.step, scores=scores, duration=outcome.duration / shared_by)

    def _failed(self, checkpoint: Checkpoint, reason: Reason, message: str) -> Outcome:
        return replace(self._outcome(checkpoint, OutcomeKind.FAILED), reason=reason, message=message)

    def _outcome(self, checkpoint: Checkpoint, kind: OutcomeKind) -> Outcome:
        return Outcome(
            checkpoint=checkpoint.name,
            kind=kind,
            number=checkpoint.number,
            started_at=self._began,
            evaluated_at=self.clock.time(),
            duration=self.clock.monotonic() - self._began_monotonic,
            modified_at=checkpoint.modified_at,
            is_written_again=self.checkpoints.is_written_again(checkpoint),
            provenance=self.provenance(),
        )

    def _require_primary(self, outcome: Outcome) -> None:
        """Stop a run whose primary metric no score has: there would never be a best checkpoint."""
        primary = self.rules.primary
        if primary and (mistake := no_such_metric(primary.name, outcome.scores)):
            raise ConfigurationError(mistake)

    def _log_if_all_failed(self) -> None:
        """Log an error where every checkpoint failed: the cause is then the entry point, not one checkpoint."""
        counts, history = self.results.counts, self.results.history
        if counts.failed and not counts.evaluated:
            last = f" The last one, {history[0].checkpoint}: {history[0].message}" if history else ""
            _log.error("No checkpoint could be evaluated, %d failed.%s", counts.failed, last)


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, CheckpointError | IterationsMissingError) else first_line(error)
