"""An iterator over a directory in memory, with a clock that never sleeps."""

import itertools
import threading
from collections.abc import Iterable
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.backlog import Remaining
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.discovery.iterator import CheckpointIterator, Policy
from sidecar_evaluator.discovery.training_end import training_finished
from sidecar_evaluator.results.settled import SettledCheckpoints
from unit.evaluator.support.fakes import FakeChangeWaiter, FakeClock, FakeDirectory


class Scene:
    """An iterator, its directory and its clock; `drain` settles whatever is handed out."""

    def __init__(
        self,
        *listed: Checkpoint,
        directory: Directory | None = None,
        settled: SettledCheckpoints | None = None,
        **policy: Any,
    ) -> None:
        self.clock, self.directory, self.stop = FakeClock(), FakeDirectory(*listed), threading.Event()
        self.finished, self.changes = threading.Event(), FakeChangeWaiter(self.clock, self.stop)
        self.iterator = CheckpointIterator(
            directory=directory or self.directory,
            policy=Policy(**policy),
            clock=self.clock,
            stop=self.stop,
            changes=self.changes,
            training_finished=training_finished("training.finished", self.finished.is_set),
            settled=settled or SettledCheckpoints(),
        )
        self.remaining: list[Remaining] = []

    def drain(self) -> list[str]:
        return list(self.settle_all(self.iterator))

    def settle_all(self, candidates: Iterable[Any]) -> Iterable[str]:
        for candidate in itertools.chain.from_iterable(candidates):
            self.remaining.append(self.iterator.settle(candidate))
            mark = " gone" if candidate.is_deleted else " unreadable" if candidate.missing else ""
            yield candidate.name + mark
