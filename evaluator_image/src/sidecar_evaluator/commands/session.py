"""The parts of one `run` that several threads share.

Built first of all by `run`, before TensorFlow is imported, so that probes are answered at once. What
the loop itself is made of is put together in `assembly`.
"""

import os
import socket
import threading
from typing import Any

from sidecar_evaluator.assembly import checkpoint_source
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.code_directory import digest_of
from sidecar_evaluator.commands.config import Config
from sidecar_evaluator.commands.writer_setup import RunWriters
from sidecar_evaluator.discovery.directory import Directory, Listing, look_twice
from sidecar_evaluator.discovery.obstacles import Obstacle
from sidecar_evaluator.discovery.training_end import TrainingState
from sidecar_evaluator.kube.resource import KubernetesResource, Resource
from sidecar_evaluator.results.evaluator_report import Problem
from sidecar_evaluator.results.outcome import Provenance
from sidecar_evaluator.runtime.clock import SystemClock
from sidecar_evaluator.runtime.contact import Contact
from sidecar_evaluator.runtime.heartbeat import Heartbeat
from sidecar_evaluator.runtime.readiness import Readiness


class Session:
    """What the loop, the HTTP server, the watch of the training and the shutdown have in common."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.pod = os.environ.get("POD_NAME") or socket.gethostname()
        self.code_digest = digest_of(config.model.code_dir)
        self._image_id = ""
        self._is_located = False
        self.stop = threading.Event()
        self.clock = SystemClock()
        self.heartbeat = Heartbeat()
        self.watching = Contact()
        self.training = TrainingState(self.clock.monotonic)
        self.source = checkpoint_source(
            config.model.checkpoint_dir,
            self.stop,
            config.policy,
            config.model.format,
            self.heartbeat.beat,
            patterns=config.model.patterns,
        )
        self.resource: Resource | None = KubernetesResource(config.resource) if config.resource else None
        self.writers = RunWriters(config, self.clock, self.resource, self.source.changes.wake)
        self.readiness = Readiness((self.writers.publishing, self.watching))

    def provenance(self) -> Provenance:
        """Return which code and which image evaluate."""
        return Provenance(self.code_digest, self._image_id)

    def learn_image(self, evaluation: dict[str, Any]) -> None:
        """Take from the resource which image this pod runs, as the operator has written it there."""
        evaluator = evaluation.get("status", {}).get("evaluator", {})
        if evaluator.get("pod") == self.pod:
            self._image_id = str(evaluator.get("imageID", ""))

    def on_look(self, listing: Listing) -> None:
        """Take note of a look at the directory, between two evaluations."""
        self.heartbeat.beat()
        if self.writers.best:
            self.writers.best.serve()
        if listing.exists:
            self.readiness.directory_seen.set()
        if self.source.directory.is_bound and not self._is_located:
            self._is_located = True
            self.writers.locate(str(self.source.directory.path))

    def on_obstacle(self, obstacle: Obstacle | None) -> None:
        """Say in the resource what keeps the loop from finding checkpoints."""
        self.writers.say(Problem(obstacle.reason, obstacle.message, self.clock.time()) if obstacle else None)

    def on_change(self, evaluation: dict[str, Any]) -> None:
        """Take note of the resource as it is now; of a training's state look at once: it may have ended."""
        self.watching.succeeded()
        self.learn_image(evaluation)
        state = evaluation.get("status", {}).get("training", {}).get("state")
        if state and self.config.follow_training:
            self.training.report(state)
            self.source.changes.wake()

    def find(self, name: str) -> Checkpoint | None:
        """Return a complete checkpoint of the directory by its name."""
        model = self.config.model
        listing = look_twice(Directory(self.source.directory.path, model.format, patterns=model.patterns))
        matching = (checkpoint for checkpoint in listing.checkpoints if checkpoint.name == name)
        return next((checkpoint for checkpoint in matching if checkpoint.is_complete), None)
