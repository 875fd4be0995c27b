"""The parts of one run that several threads share, and the sinks that its flags ask for.

Built first of all by `run`, before TensorFlow is imported, so that probes are answered at once.
"""

import os
import threading
from functools import partial
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry

from sidecar_evaluator.best_copies import BestCopies
from sidecar_evaluator.checkpoints.directory import Directory, Listing
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.clock import SystemClock
from sidecar_evaluator.config import Config
from sidecar_evaluator.heartbeat import Heartbeat
from sidecar_evaluator.journal import NAME as JOURNAL
from sidecar_evaluator.line_files import LineFiles
from sidecar_evaluator.mounts import is_local
from sidecar_evaluator.noticing import MOUNT_TABLE, notices
from sidecar_evaluator.resource import KubernetesResource, Resource
from sidecar_evaluator.results_status import render
from sidecar_evaluator.training import TrainingEnd
from sidecar_evaluator.writers.background import BackgroundWriter
from sidecar_evaluator.writers.interface import Writer
from sidecar_evaluator.writers.jsonl import JsonLinesWriter
from sidecar_evaluator.writers.log import LogWriter
from sidecar_evaluator.writers.multi import MultiWriter
from sidecar_evaluator.writers.prometheus import PrometheusWriter
from sidecar_evaluator.writers.status import StatusWriter
from sidecar_evaluator.writers.tensorboard import TensorBoardWriter

_REMOTE_LISTING_AGE = 60.0  # gcsfuse, and Mountpoint for S3 with a cache, keep metadata for a minute by default


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
        self.directory = Directory(config.model.checkpoint_dir, config.model.format)
        self.notices = notices(config.model.checkpoint_dir, self.stop)
        self.heartbeat = Heartbeat()
        self.resource: Resource | None = KubernetesResource(config.resource) if config.resource else None
        self.metrics = PrometheusWriter(self.registry, self.clock, version("sidecar-evaluator"))
        self.journal = LineFiles(config.output_dir, JOURNAL) if config.output_dir else None
        self.lines = JsonLinesWriter(self.journal.append, config.rules.primary) if self.journal else None
        self.writer: Writer = MultiWriter(self._writers())
        self.best_copies = self._best_copies()

    def is_ready(self) -> bool:
        """Tell whether the model is built and the checkpoint directory was seen."""
        return self.model_built.is_set() and self.directory_seen.is_set()

    def looked(self, listing: Listing) -> None:
        """Take note of a look at the directory."""
        self.heartbeat.beat()
        self.metrics.tick()
        if listing.exists:
            self.directory_seen.set()

    def trained(self, state: str) -> None:
        """Take note of the training's state; its end is worth a look at once."""
        self.training.saw(state)
        self.notices.wake()

    def find(self, name: str) -> Checkpoint | None:
        """Return a complete checkpoint of the directory by its name."""
        found = Directory(self.config.model.checkpoint_dir, self.config.model.format).look().checkpoints
        return next((each for each in found if each.name == name and not each.missing), None)

    def listing_age(self) -> float:
        """Return how old a listing of the checkpoints' mount may be, in seconds: as told, or by its file system."""
        told = self.config.listing_age
        if told is not None:
            return told
        known = MOUNT_TABLE.read_text(errors="replace") if MOUNT_TABLE.exists() else ""
        path = Path(os.path.realpath(self.config.model.checkpoint_dir))
        return 0.0 if not known or is_local(path, known) else _REMOTE_LISTING_AGE

    def _writers(self) -> list[Writer]:
        writers: list[Writer] = [self.metrics, LogWriter()]
        if self.resource:
            show = partial(render, primary=self.config.rules.primary)
            writers.append(StatusWriter(self.resource.apply_results, show))
        if self.lines and self.config.output_dir:
            writers += [self.lines, BackgroundWriter(TensorBoardWriter(self.config.output_dir))]
        return writers

    def _best_copies(self) -> BestCopies | None:
        config = self.config
        if not (config.keep_best and config.output_dir):
            return None
        return BestCopies(config.output_dir / "best", config.keep_best, config.rules.primary)
