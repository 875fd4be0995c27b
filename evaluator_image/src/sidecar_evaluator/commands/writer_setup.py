"""Where the results of one `run` go: the writers and the copies of the best that its flags ask for.

`session` builds them before TensorFlow is imported. A new sink is one module in `writers` and one line
in `_writers`.
"""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from sidecar_evaluator.best_checkpoints.copier import BestCheckpointCopier
from sidecar_evaluator.best_checkpoints.store import BestCheckpointStore
from sidecar_evaluator.commands.config import Config
from sidecar_evaluator.discovery.filesystems import file_system_of
from sidecar_evaluator.kube.resource import Resource
from sidecar_evaluator.results.evaluator_report import EvaluatorReport, Problem
from sidecar_evaluator.results.jsonl_records import NAME as JOURNAL
from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.resume import Resumed
from sidecar_evaluator.results.serialization import render
from sidecar_evaluator.runtime.clock import Clock
from sidecar_evaluator.runtime.contact import Contact
from sidecar_evaluator.storage.append_log import AppendLog
from sidecar_evaluator.writers.async_writer import AsyncWriter
from sidecar_evaluator.writers.interface import Writer
from sidecar_evaluator.writers.jsonl import JsonLinesWriter
from sidecar_evaluator.writers.log import LogWriter
from sidecar_evaluator.writers.multi import MultiWriter
from sidecar_evaluator.writers.prometheus import PrometheusWriter
from sidecar_evaluator.writers.status import StatusWriter
from sidecar_evaluator.writers.tensorboard import TensorBoardWriter

FLUSH_SECONDS = 10.0


class RunWriters:
    """Everything that a settled checkpoint is written to; `wake` ends the loop's wait for the next one.

    `publishing` notes whether the resource's status can be written.
    """

    def __init__(self, config: Config, clock: Clock, resource: Resource | None, wake: Callable[[], None]) -> None:
        self._config = config
        self.publishing = Contact()
        self.registry = CollectorRegistry()
        self.metrics = PrometheusWriter(self.registry, clock, version("sidecar-evaluator"))
        self.journal = AppendLog(config.output_dir, JOURNAL) if config.output_dir else None
        self._lines = JsonLinesWriter(self.journal.append, config.rules.primary) if self.journal else None
        self.best = BestCheckpointCopier(store, wake) if (store := _store(config)) else None
        self._status = self._status_writer(resource) if resource else None
        self.writer = MultiWriter(self._writers())

    def resume(self, run: str, earlier: Resumed) -> None:
        """Go on from what earlier processes wrote; `run` is what the journal calls this run."""
        if self._lines:
            self._lines.resume(run, earlier.unwritten, earlier.results.counts.skipped)
        self.metrics.resume(earlier.results)

    def flush(self) -> bool:
        """Wait until all is written, for a limited time; return whether it is."""
        return self.writer.flush(FLUSH_SECONDS)

    def introduce(self, evaluator: EvaluatorReport, results: Results) -> None:
        """Say in the resource which evaluator goes on from these results."""
        if self._status:
            self._status.introduce(evaluator, results)

    def locate(self, directory: str) -> None:
        """Let the next results tell where the checkpoints are."""
        if self._status:
            self._status.locate(directory)

    def say(self, problem: Problem | None) -> None:
        """Say in the resource what is in the evaluator's way, None once nothing is."""
        if self._status:
            self._status.say(problem)

    def _status_writer(self, resource: Resource) -> StatusWriter:
        def apply(results: dict[str, Any]) -> None:
            with self.publishing.attempt():
                resource.apply_results(results)

        return StatusWriter(apply, partial(render, primary=self._config.rules.primary))

    def _writers(self) -> list[Writer]:
        writers: list[Writer] = [self.metrics, LogWriter()]
        if self._status:
            writers.append(self._status)
        if self._lines and self._config.output_dir:
            writers += [self._lines, AsyncWriter(_tensorboard(self._config.output_dir))]
        return writers


def _tensorboard(output_dir: Path) -> TensorBoardWriter:
    return TensorBoardWriter(output_dir, closes_files=not file_system_of(output_dir).shows_open_files)


def _store(config: Config) -> BestCheckpointStore | None:
    if not (config.keep_best and config.output_dir):
        return None
    return BestCheckpointStore(config.output_dir / "best", config.keep_best, config.rules.primary)
