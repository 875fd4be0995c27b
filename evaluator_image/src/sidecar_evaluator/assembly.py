"""Puts an evaluation loop together: the one place where its parts meet.

`sidecar-evaluator run` and `SidecarEvaluator` both call it and differ only in what they pass; `check`
takes its model from here too. What belongs to a process (signals, probes, sinks, exit codes) does not
belong here.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidecar_evaluator.best_checkpoints.sources import Export
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.checkpoints.prefetcher import Prefetcher
from sidecar_evaluator.checkpoints.registry import AUTO
from sidecar_evaluator.discovery.change_waiter import DirectoryWaiter, directory_waiter
from sidecar_evaluator.discovery.claims import EVERY_NAME, NamePatterns
from sidecar_evaluator.discovery.directory import Directory, Listing
from sidecar_evaluator.discovery.filesystems import file_system_of
from sidecar_evaluator.discovery.iterator import CheckpointIterator, Policy
from sidecar_evaluator.discovery.obstacles import Obstacle
from sidecar_evaluator.engine.memory import fits
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.loop import Loop
from sidecar_evaluator.options import Options
from sidecar_evaluator.results.ledger import Results, Rules
from sidecar_evaluator.results.outcome import Outcome, Provenance
from sidecar_evaluator.results.resume import Resumed
from sidecar_evaluator.results.settled import SettledCheckpoints
from sidecar_evaluator.runtime.clock import Clock, SystemClock
from sidecar_evaluator.runtime.heartbeat import Heartbeat
from sidecar_evaluator.runtime.progress import ProgressLog
from sidecar_evaluator.writers.interface import Phase, Writer


@dataclass(frozen=True)
class CheckpointSource:
    """Where checkpoints come from: the directory, the wait for its changes, and which of them are evaluated."""

    directory: Directory
    changes: DirectoryWaiter
    policy: Policy


@dataclass(frozen=True)
class Surroundings:
    """What a loop is connected to; the defaults are those of a loop that stands alone.

    `on_look` is called between two evaluations with what a look saw, `on_obstacle` with what keeps it from finding
    checkpoints, `enter` with each phase that begins, `provenance` for what evaluates, `keep_best` with each new best.
    `timeout` limits one checkpoint, in seconds.
    """

    writer: Writer
    stop: threading.Event
    training_finished: Callable[[Listing], bool]
    clock: Clock = field(default_factory=SystemClock)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    rules: Rules = field(default_factory=Rules)
    timeout: float | None = None
    on_look: Callable[[Listing], None] = lambda _listing: None
    on_obstacle: Callable[[Obstacle | None], None] = lambda _obstacle: None
    enter: Callable[[Phase], None] = lambda _phase: None
    provenance: Callable[[], Provenance] = Provenance
    keep_best: Callable[[Checkpoint, Outcome, Export], object] = lambda *_: None


def checkpoint_source(
    path: Path,
    stop: threading.Event,
    policy: Policy,
    format_name: str = AUTO,
    beat: Callable[[], None] = lambda: None,
    *,
    patterns: NamePatterns = EVERY_NAME,
) -> CheckpointSource:
    """Open a checkpoint directory, which need not exist yet; how old its listings may be is decided here."""
    file_system = file_system_of(path)
    if policy.listing_age is None:
        policy = replace(policy, listing_age=file_system.listing_age)
    directory = Directory(path, format_name, beat=beat, revisits=file_system.revisits, patterns=patterns)
    return CheckpointSource(directory, directory_waiter(path, stop, file_system), policy)


def prepared_evaluator(evaluation: Evaluation, stop: threading.Event, options: Options | None = None) -> ModelEvaluator:
    """Prepare the user's model and data for scoring.

    Raises ConfigurationError: the model is not compiled with metrics, or its data does not fit it.
    """
    evaluator = ModelEvaluator(evaluation, stop, options, ProgressLog())
    evaluator.prepare()
    return evaluator


def assemble(
    source: CheckpointSource, evaluator: ModelEvaluator, surroundings: Surroundings, earlier: Resumed | None = None
) -> Loop:
    """Build the loop that evaluates the checkpoints of a source, going on from earlier results."""
    earlier = earlier or Resumed(Results(), SettledCheckpoints())
    prefetcher = Prefetcher(evaluator.read, fits)
    checkpoints = CheckpointIterator(
        directory=source.directory,
        policy=source.policy,
        clock=surroundings.clock,
        stop=surroundings.stop,
        changes=source.changes,
        training_finished=surroundings.training_finished,
        settled=earlier.settled,
        on_look=surroundings.on_look,
        on_obstacle=surroundings.on_obstacle,
        beat=surroundings.heartbeat.beat,
        group_limit=lambda waiting: evaluator.pass_size(waiting, prefetcher.last_size),
    )
    return Loop(
        checkpoints=checkpoints,
        evaluator=evaluator,
        prefetcher=prefetcher,
        writer=surroundings.writer,
        clock=surroundings.clock,
        rules=surroundings.rules,
        results=earlier.results,
        heartbeat=surroundings.heartbeat,
        timeout=surroundings.timeout,
        enter=surroundings.enter,
        provenance=surroundings.provenance,
        keep_best=surroundings.keep_best,
    )
