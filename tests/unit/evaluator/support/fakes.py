"""Fakes for the unit tests: a clock that never sleeps, a format, a directory in memory, a writer, a report."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Files, FileState, Weights
from sidecar_evaluator.discovery.directory import Listing
from sidecar_evaluator.results.ledger import Results, Rules, settle
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Score
from sidecar_evaluator.writers.interface import Report


class FakeClock:
    """A clock that advances only in waits; `at` runs an action when a time is reached."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[tuple[float, Callable[[], object]]] = []
        self.limit = 100_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def at(self, moment: float, action: Callable[[], object]) -> None:
        self.events.append((1000.0 + moment, action))

    def wait(self, seconds: float, until: threading.Event) -> bool:
        self.now += seconds
        assert self.now < self.limit, "the loop waits for ever"
        due = [event for event in self.events if event[0] <= self.now]
        self.events = [event for event in self.events if event not in due]
        for _, action in sorted(due, key=lambda event: event[0]):
            action()
        return until.is_set()


class FakeFormat(CheckpointFormat):
    """A format whose checkpoints are what the test says; `lacking` has those that `inspect` finds incomplete."""

    name = "Fake"

    def __init__(self) -> None:
        self.lacking: set[str] = set()
        self.inspections: list[str] = []

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        return None if is_directory else name

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        return Checkpoint(name, directory / name, self, tuple(files.values()))

    def inspect(self, checkpoint: Checkpoint) -> str:
        self.inspections.append(checkpoint.name)
        return "its end" if checkpoint.name in self.lacking else ""

    def read(self, checkpoint: Checkpoint, model: Any) -> Weights:
        return Weights((), None)


class Recorder(FakeFormat):
    """A format of files `NAME.part`, which remembers what it was asked."""

    def __init__(self, *, depth: int = 1) -> None:
        super().__init__()
        self.assembled: list[str] = []
        self.depth = depth

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        return name.removesuffix(".part") if name.endswith(".part") and is_directory == (self.depth > 1) else None

    def assemble(self, directory: Path, name: str, files: Files) -> Checkpoint:
        self.assembled.append(name)
        return replace(super().assemble(directory, name, files), missing="" if files else "everything")


def checkpoint(name: str, *, modified: float = 1.0, missing: str = "", size: int = 1) -> Checkpoint:
    state = FileState(name, size, int(modified * 1e9))
    return Checkpoint(name, Path("/checkpoints") / name, FORMAT, (state,), missing)


FORMAT = FakeFormat()


class FakeDirectory:
    """A directory in memory."""

    def __init__(self, *checkpoints: Checkpoint) -> None:
        self.checkpoints = {checkpoint.name: checkpoint for checkpoint in checkpoints}
        self.names: set[str] = set()
        self.path = self.named_path = Path("/checkpoints/run")
        self.below: list[str] = []
        self.retired: set[str] = set()
        self.exists = self.fresh = True
        self.looks = 0

    def add(self, *checkpoints: Checkpoint) -> None:
        self.retired -= {new.name for new in checkpoints if self.checkpoints.get(new.name) not in {None, new}}
        self.checkpoints.update({checkpoint.name: checkpoint for checkpoint in checkpoints})

    def remove(self, *names: str) -> None:
        for name in names:
            del self.checkpoints[name]

    def touch(self, name: str) -> None:
        self.names.add(name)

    def look(self) -> Listing:
        self.looks += 1
        if not self.fresh:
            return Listing(fresh=False)
        ordered = sorted(self.checkpoints.values(), key=lambda checkpoint: checkpoint.id.order)
        current = tuple(checkpoint for checkpoint in ordered if checkpoint.name not in self.retired)
        return Listing(current, {*self.names, *self.checkpoints}, self.exists)

    def retire(self, checkpoint: Checkpoint) -> None:
        if checkpoint.number is not None:
            self.retired.add(checkpoint.name)

    def recheck(self, checkpoint: Checkpoint) -> None:
        assert checkpoint.name not in self.retired

    def nested(self) -> list[str]:
        return self.below

    def has_doubts(self) -> bool:
        return False

    def closed(self) -> list[str]:
        return []

    def left_out(self) -> list[str]:
        return []

    def moved_to(self) -> Path | None:
        return None


class FakeChangeWaiter:
    """Waits on a fake clock, as without change notifications."""

    def __init__(self, clock: FakeClock, stop: threading.Event) -> None:
        self.clock, self.stop = clock, stop
        self.waits: list[float] = []

    def looked(self, seconds: float, newest: float | None) -> None:
        pass

    def wait(self, longest: float) -> bool:
        self.waits.append(longest)
        return self.clock.wait(min(longest, 1.0), self.stop)


class FakeWriter:
    """Keeps reports; fails or hangs on demand."""

    def __init__(self, error: Exception | None = None, gate: threading.Event | None = None) -> None:
        self.reports: list[Report] = []
        self.error = error
        self.gate = gate
        self.closed = False

    def write(self, report: Report) -> None:
        if self.gate:
            self.gate.wait()
        if self.error:
            raise self.error
        self.reports.append(report)

    def flush(self, timeout: float) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def evaluated(name: str, *, accuracy: float = 0.5, number: int | None = None, **fields: Any) -> Outcome:
    scores = (Score("accuracy", accuracy), Score("loss", 1 - accuracy))
    return Outcome(name, OutcomeKind.EVALUATED, number, 10.0, 12.0, 2.0, scores=scores, **fields)


def report(outcome: Outcome | None = None) -> Report:
    outcome = outcome or evaluated("ckpt-7", number=7, step=700, accuracy=0.5, modified_at=5.0)
    return Report(outcome, settle(Results(), outcome, Rules()))
