"""The evaluator's real parts, put together for a test and run in a thread: directory, watcher, loop, model.

The clock of the loop runs faster than the machine's, so that its back-offs and bridges take a tenth of their time; the
file system under it does not.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cluster.processes import poll
from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.prefetcher import Prefetcher
from sidecar_evaluator.checkpoints.registry import AUTO
from sidecar_evaluator.discovery.backoff import Backoff
from sidecar_evaluator.discovery.change_waiter import DirectoryWaiter, directory_waiter
from sidecar_evaluator.discovery.directory import Directory, Listing
from sidecar_evaluator.discovery.filesystems import file_system_of
from sidecar_evaluator.discovery.iterator import CheckpointIterator, Policy
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.discovery.training_end import training_finished
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from sidecar_evaluator.loop import Loop
from sidecar_evaluator.results.ledger import Results, Rules
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Score
from sidecar_evaluator.writers.interface import Report
from support.waiting import DEADLINE

SENTINEL = "training.finished"


@dataclass(frozen=True)
class FastClock:
    """Time that passes so many times faster."""

    speed: float = 10.0

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() * self.speed

    def wait(self, seconds: float, until: threading.Event) -> bool:
        return until.wait(seconds / self.speed)


@dataclass(frozen=True)
class FastChangeWaiter:
    """The mount's real notices; what the fast clock calls a second is shorter here too."""

    real: DirectoryWaiter
    speed: float

    def looked(self, seconds: float, newest: float | None) -> None:
        self.real.looked(seconds / self.speed, newest)

    def wait(self, longest: float) -> bool:
        return self.real.wait(longest / self.speed)


class Scorer:
    """A model that is ready, and remembers when it was first asked for each checkpoint."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._model = ModelEvaluator(evaluation, threading.Event())
        self._model.prepare()
        self.noticed: dict[str, float] = {}

    def read(self, checkpoint: Checkpoint) -> Weights:
        """Read a checkpoint."""
        self.noticed.setdefault(checkpoint.name, time.monotonic())
        return self._model.read(checkpoint)

    def score(self, loaded: Any) -> list[tuple[Score, ...]]:
        """Score what was read, one by one."""
        return [self._model.score([one])[0] for one in loaded if isinstance(one, Loaded)]

    def export(self, weights: Weights, path: Path) -> None:
        """Write a weights file."""
        self._model.export(weights, path)


@dataclass
class Running:
    """An evaluation loop in a thread; `outcomes` in the order of settling.

    What cannot be read is tried again for `patience` seconds of its clock at least: for ever by default, so that a
    fault that the test ends by itself only delays, however busy the machine is.
    """

    directory: Path
    scorer: Scorer
    format_name: str = AUTO
    selection: Selection = Selection.EVERY
    speed: float = 10.0
    patience: float = 100 * DEADLINE
    outcomes: list[Outcome] = field(default_factory=list)
    error: BaseException | None = None
    results: Results | None = None
    looks: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Running":
        self.scorer.noticed.clear()
        self._changes = directory_waiter(self.directory, self.stop, file_system_of(self.directory))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "the evaluator hangs"
        self._changes.close()

    def write(self, report: Report) -> None:
        """Take a report, as the loop's only sink."""
        if report.outcome:
            self.outcomes.append(report.outcome)

    def flush(self, timeout: float) -> bool:
        """Return True: everything is in memory."""
        return True

    def close(self) -> None:
        """Do nothing."""

    def has_ended(self) -> bool:
        """Tell whether the loop has ended."""
        return not self._thread.is_alive()

    def of(self, name: str) -> list[Outcome]:
        """Return the outcomes of a checkpoint so far."""
        return [outcome for outcome in list(self.outcomes) if outcome.checkpoint == name]

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so; the loop must not have ended with an error meanwhile."""
        assert poll(lambda: self.error or condition(), DEADLINE), f"{what}: not within {DEADLINE} s; {self.outcomes}"
        if self.error:
            raise AssertionError(f"the loop ended: {self.error!r}") from self.error

    def outcome(self, name: str) -> Outcome:
        """Wait for the first outcome of a checkpoint."""
        self.wait(lambda: self.of(name), f"an outcome of {name}")
        return self.of(name)[0]

    def finish(self) -> Results:
        """Wait until the loop has drained the directory after the end of training."""
        self.wait(self.has_ended, "the end")
        assert self.results is not None
        return self.results

    def _looked(self, listing: Listing) -> None:
        self.looks += 1

    def _run(self) -> None:
        try:
            self.results = self._loop().run()
        except BaseException as error:
            self.error = error

    def _loop(self) -> Loop:
        clock = FastClock(self.speed)
        checkpoints = CheckpointIterator(
            directory=Directory(self.directory, self.format_name, clock.monotonic),
            policy=Policy(self.selection),
            clock=clock,
            stop=self.stop,
            changes=FastChangeWaiter(self._changes, self.speed),
            training_finished=training_finished(SENTINEL, lambda: False),
            on_look=self._looked,
        )
        checkpoints._backoff = Backoff(self.patience)  # a listing age would hold up the end of training too
        return Loop(checkpoints, self.scorer, Prefetcher(self.scorer.read), self, clock, Rules(history_limit=100))


def scores_of(outcome: Outcome) -> dict[str, float]:
    """Return the scores by their metrics; AssertionError with the reason if it has none."""
    assert outcome.kind is OutcomeKind.EVALUATED, f"{outcome.checkpoint} {outcome.kind} {outcome.reason}: {outcome}"
    return {score.name: score.value for score in outcome.scores}
