"""The parts of one run that several threads share, and the sinks that its flags ask for.

Built first of all by `run`, before TensorFlow is imported, so that probes are answered at once.
"""

import threading
from functools import partial
from importlib.metadata import version

from prometheus_client import CollectorRegistry

from sidecar_evaluator.best_checkpoints.copier import Keeper
from sidecar_evaluator.best_checkpoints.store import BestCopies
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.commands.config import Config
from sidecar_evaluator.discovery.change_waiter import listing_age, notices
from sidecar_evaluator.discovery.directory import Directory, Listing, look_twice
from sidecar_evaluator.discovery.training_end import TrainingEnd
from sidecar_evaluator.kube.resource import KubernetesResource, Resource
from sidecar_evaluator.results.journal import NAME as JOURNAL
from sidecar_evaluator.results.serialization import render
from sidecar_evaluator.runtime.clock import SystemClock
from sidecar_evaluator.runtime.heartbeat import Heartbeat
from sidecar_evaluator.storage.append_log import LineFiles
from sidecar_evaluator.writers.async_writer import BackgroundWriter
from sidecar_evaluator.writers.interface import Writer
from sidecar_evaluator.writers.jsonl import JsonLinesWriter
from sidecar_evaluator.writers.log import LogWriter
from sidecar_evaluator.writers.multi import MultiWriter
from sidecar_evaluator.writers.prometheus import PrometheusWriter
from sidecar_evaluator.writers.status import StatusWriter
from sidecar_evaluator.writers.tensorboard import TensorBoardWriter


class Session:
    """What the loop, the server, the watch of the training and the way out have in common."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.stop = threading.Event()
        self.directory_seen = threading.Event()
        self.model_built = threading.Event()
        self.registry = CollectorRegistry()
        self.clock = SystemClock()
        self.training = TrainingEnd(self.clock.monotonic)
        self.notices = notices(config.model.checkpoint_dir, self.stop)
        self.heartbeat = Heartbeat()
        self.directory = Directory(config.model.checkpoint_dir, config.model.format, beat=self.heartbeat.beat)
        self.resource: Resource | None = KubernetesResource(config.resource) if config.resource else None
        self.metrics = PrometheusWriter(self.registry, self.clock, version("sidecar-evaluator"))
        self.journal = LineFiles(config.output_dir, JOURNAL) if config.output_dir else None
        self.lines = JsonLinesWriter(self.journal.append, config.rules.primary) if self.journal else None
        self.writer: Writer = MultiWriter(self._writers())
        self.best_copies = self._best_copies()
        self.keeper = Keeper(self.best_copies, self.notices.wake) if self.best_copies else None

    def is_ready(self) -> bool:
        """Tell whether the model is built and the checkpoint directory was seen."""
        return self.model_built.is_set() and self.directory_seen.is_set()

    def looked(self, listing: Listing) -> None:
        """Take note of a look at the directory, between two evaluations."""
        self.heartbeat.beat()
        if self.keeper:
            self.keeper.serve()
        if listing.exists:
            self.directory_seen.set()

    def trained(self, state: str) -> None:
        """Take note of the training's state; its end is worth a look at once."""
        self.training.saw(state)
        self.notices.wake()

    def find(self, name: str) -> Checkpoint | None:
        """Return a complete checkpoint of the directory by its name."""
        listing = look_twice(Directory(self.config.model.checkpoint_dir, self.config.model.format))
        return next((each for each in listing.checkpoints if each.name == name and not each.missing), None)

    def _writers(self) -> list[Writer]:
        writers: list[Writer] = [self.metrics, LogWriter()]
        if self.resource:
            show = partial(render, primary=self.config.rules.primary)
            writers.append(StatusWriter(self.resource.apply_results, show))
        if self.lines and self.config.output_dir:
            is_bucket = listing_age(self.config.output_dir) > 0
            board = TensorBoardWriter(self.config.output_dir, closes_files=is_bucket)
            writers += [self.lines, BackgroundWriter(board)]
        return writers

    def _best_copies(self) -> BestCopies | None:
        config = self.config
        if not (config.keep_best and config.output_dir):
            return None
        return BestCopies(config.output_dir / "best", config.keep_best, config.rules.primary)
