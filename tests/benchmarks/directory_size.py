"""The number of checkpoints in the directory: what one poll of the watcher costs, and how much memory it holds.

The limit is one bare listing of the same directory (`os.scandir`), taken between two polls. A poll that finds nothing
new must not cost much more than a listing, one that finds a checkpoint not more than two, however many are there.
TensorFlow is not imported.
"""

import os
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import processes, workload
from benchmarks.measure import seconds
from benchmarks.rows import Bound, Budget, Figure, Row, Unit
from sidecar_evaluator.discovery.directory import Directory, Listing
from sidecar_evaluator.discovery.iterator import CheckpointIterator, Policy
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.runtime.clock import SystemClock

TITLE = "Number of checkpoints in the directory (TensorFlow format, two files each)"
SIZES = (10, 100, 1_000, 10_000)
POLLS = 30
MOST_OF_A_LISTING = {"nothing new": 1.5, "one is new": 2.0}  # once for each checkpoint, the names are gone over too
FROM_SIZE = 1_000  # in a smaller directory a listing takes less time than a function call or two


def rows(scratch: Path) -> Iterator[Row]:
    """Measure directories of each size."""
    source = workload.checkpoints(scratch, "tf_keras", workload.TENSORFLOW)
    for count in SIZES:
        directory = scratch / f"many-{count}"
        directory.mkdir()
        for number in range(1, count + 1):
            save(source, directory, number)
        arguments: dict[str, Any] = {"source": str(source), "directory": str(directory), "count": count}
        measurements = processes.call("benchmarks.directory_size:watch", **arguments)
        figures = {name: Figure(**figure) for name, figure in measurements.items()}
        for name, most in MOST_OF_A_LISTING.items():
            budgets = (Budget(Bound.OF_LIMIT, most),) if count >= FROM_SIZE else ()
            what = f"one poll, {count:,} checkpoints, {name}"
            yield Row(what, Unit.SECONDS, figures[name], None, figures["listing"], budgets)
        yield Row(f"memory that the watcher holds, {count:,} checkpoints", Unit.MEBIBYTES, figures["held"])


def save(source: Path, directory: Path, number: int) -> None:
    """Let one more real checkpoint come, at the cost of two links."""
    for ending in (".data-00000-of-00001", ".index"):
        os.link(source / f"ckpt-1{ending}", directory / f"ckpt-{number}{ending}")


def watch(report: processes.Report, source: str, directory: str, count: int) -> None:
    """Time polls with and without news, then weigh the watcher; runs in a process of its own."""
    place = Path(directory)
    training = _Training(Path(source), _Looks(place), count)
    watcher = training.watcher()
    for (candidate,) in watcher:
        training.note_checkpoint()
        watcher.settle(candidate)
    figures = {"nothing new": training.quiet, "one is new": training.news, "listing": training.listings}
    report({name: vars(Figure.of(taken)) for name, taken in figures.items()} | {"held": vars(_held(place))})


class _Looks(Directory):
    """A directory that counts how often it is listed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.count = 0

    def look(self) -> Listing:
        self.count += 1
        return super().look()


@dataclass
class _Training:
    """What the watcher waits with: every wait ends at once, and the training saves in it.

    Only polls that list the directory once are counted: the one after a checkpoint is settled uses the settling's.
    """

    source: Path
    directory: _Looks
    saved: int
    quiet: list[float] = field(default_factory=list)
    news: list[float] = field(default_factory=list)
    listings: list[float] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _waits: int = 0
    _resumed: float = 0.0
    _looks_before: int = 0

    def watcher(self) -> CheckpointIterator:
        return CheckpointIterator(self.directory, Policy(Selection.LATEST), SystemClock(), self._stop, self)

    def looked(self, seconds: float, newest: float | None) -> None:
        """Learn nothing: there is no pace to find."""

    def note_checkpoint(self) -> None:
        """Note that a poll ended with a checkpoint; the first of all found what was there at the start."""
        if self._waits:
            self.news.append(time.perf_counter() - self._resumed)

    def wait(self, longest: float) -> bool:
        """Note a poll that found nothing; list the directory as the limit does, then save or stop."""
        ended = time.perf_counter()
        if self._waits and self.directory.count == self._looks_before + 1:
            self.quiet.append(ended - self._resumed)
            self.listings.append(seconds(partial(_list, self.directory.path)))
            self._save_now_and_then()
        if len(self.news) >= POLLS:
            self._stop.set()
        self._waits += 1
        assert self._waits < 100 * POLLS, "the watcher does not find what is saved"
        self._looks_before, self._resumed = self.directory.count, time.perf_counter()
        return True

    def _save_now_and_then(self) -> None:
        if len(self.quiet) > POLLS:
            self.saved += 1
            save(self.source, self.directory.path, self.saved)


def _list(directory: Path) -> None:
    """List a directory and do nothing with it."""
    with os.scandir(directory) as entries:
        list(entries)


def _held(directory: Path) -> Figure:
    """Return the memory that a watcher holds once it has settled all that is there, in MiB."""
    training = _Training(directory, _Looks(directory), 0)
    tracemalloc.start()
    watcher = training.watcher()
    (candidate,) = next(iter(watcher))
    watcher.settle(candidate)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Figure(held / 2**20)
