"""`sidecar-evaluator run`: puts the parts together, runs the loop, and ends the process well.

Called by the command line alone. Order matters: the server answers before TensorFlow is imported,
the ledger is read before anything is evaluated, and sinks are flushed before any exit code is given.
"""

import logging
import os
import threading
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from socketserver import BaseServer

from prometheus_client import CollectorRegistry, disable_created_metrics

from sidecar_evaluator.building import built
from sidecar_evaluator.checkpoints.directory import Directory, Listing
from sidecar_evaluator.clock import SystemClock
from sidecar_evaluator.config import Config
from sidecar_evaluator.errors import ExitCode
from sidecar_evaluator.evaluation import ModelEvaluation
from sidecar_evaluator.heartbeat import Heartbeat
from sidecar_evaluator.ledger import Results, highest_number, is_settled
from sidecar_evaluator.loop import Loop
from sidecar_evaluator.noticing import notices
from sidecar_evaluator.prefetching import Prefetcher
from sidecar_evaluator.resource import KubernetesResource, Resource, read_patiently, watch_training
from sidecar_evaluator.results_status import parse, render
from sidecar_evaluator.server import Application, serve
from sidecar_evaluator.signals import stop_on_signals
from sidecar_evaluator.training import TrainingEnd, training_finished
from sidecar_evaluator.watching import Watcher
from sidecar_evaluator.writers.background import BackgroundWriter
from sidecar_evaluator.writers.interface import Writer
from sidecar_evaluator.writers.log import LogWriter
from sidecar_evaluator.writers.multi import MultiWriter
from sidecar_evaluator.writers.prometheus import PrometheusWriter
from sidecar_evaluator.writers.status import StatusWriter
from sidecar_evaluator.writers.tensorboard import TensorBoardWriter

_log = logging.getLogger(__name__)

_FLUSH_SECONDS = 10.0
_GRACE_SECONDS = 4.0  # after SIGTERM, for the batch in hand
_WATCHDOG_SECONDS = 0.5


class Session:
    """The parts of one run that several threads share."""

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
        self.metrics = PrometheusWriter(self.registry, self.clock, version("sidecar-evaluator"))
        self.resource: Resource | None = KubernetesResource(config.resource) if config.resource else None
        self.writer: Writer = MultiWriter(self._writers())

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

    def _writers(self) -> list[Writer]:
        writers: list[Writer] = [self.metrics, LogWriter()]
        if self.resource:
            show = partial(render, primary=self.config.rules.primary)
            writers.append(StatusWriter(self.resource.apply_results, show))
        if self.config.output_dir:
            writers.append(BackgroundWriter(TensorBoardWriter(self.config.output_dir)))
        return writers


def run(config: Config) -> ExitCode:
    """Evaluate until there is nothing more to evaluate; return the exit code.

    Raises ConfigurationError, IterationsMissingError, StorageGoneError: see `errors`.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    session = Session(config)
    stop_on_signals(session.stop, partial(_end_after_grace, session))
    server = _serve(session) if config.port else None
    try:
        return _evaluate(session)
    finally:
        session.writer.flush(_FLUSH_SECONDS)  # also what was settled before an error
        session.writer.close()
        if server:
            server.shutdown()


def _serve(session: Session) -> BaseServer:
    application = Application(session.registry, session.heartbeat.is_alive, session.is_ready)
    return serve(session.config.port, application)


def _evaluate(session: Session) -> ExitCode:
    results = _earlier_results(session)
    evaluation = _prepared(session)
    loop = _loop(session, evaluation, results)
    _start_threads(session, loop)
    ended = loop.run().ended
    flushed = session.writer.flush(_FLUSH_SECONDS)
    if ended is None:
        return ExitCode.TERMINATED
    if not flushed:
        _log.error("Not all results could be written; a restart goes on from those that were.")
        return ExitCode.ERROR
    return ExitCode.DRAINED


def _earlier_results(session: Session) -> Results:
    if not session.resource:
        return Results()
    found = read_patiently(session.resource, session.stop)
    results = replace(parse(found.get("status", {}).get("results", {})), ended=None)
    session.metrics.resume(results)
    return results


def _prepared(session: Session) -> ModelEvaluation:
    """Build the model: importing TensorFlow and tracing can take minutes on a slow disk."""
    session.heartbeat.begin()
    evaluation = built(session.config.model, session.stop)
    session.heartbeat.end()
    session.model_built.set()
    return evaluation


def _loop(session: Session, evaluation: ModelEvaluation, results: Results) -> Loop:
    config = session.config
    prefetcher = Prefetcher(evaluation.read)
    watcher = Watcher(
        directory=Directory(config.model.checkpoint_dir, config.model.format),
        policy=config.policy,
        clock=session.clock,
        stop=session.stop,
        notices=session.notices,
        training_finished=training_finished(config.sentinel, session.training.has_come),
        covered=lambda checkpoint: is_settled(results, checkpoint, config.policy.selection),
        on_look=session.looked,
        group_limit=lambda waiting: evaluation.pass_size(waiting, prefetcher.last_size),
        highest_settled=highest_number(results),
    )
    return Loop(
        watcher=watcher,
        evaluator=evaluation,
        writer=session.writer,
        clock=session.clock,
        rules=config.rules,
        results=results,
        heartbeat=session.heartbeat,
        timeout=config.evaluation_timeout,
        enter=session.metrics.enter,
        prefetcher=prefetcher,
    )


def _start_threads(session: Session, loop: Loop) -> None:
    if session.config.follow_training and session.resource:
        arguments = (session.resource, session.trained, session.stop)
        threading.Thread(target=watch_training, args=arguments, name="training", daemon=True).start()
    if session.config.evaluation_timeout:
        threading.Thread(target=_watchdog, args=(session, loop), name="watchdog", daemon=True).start()


def _watchdog(session: Session, loop: Loop) -> None:
    """End the process when an evaluation is overdue: nothing else stops a hanging one."""
    while not session.stop.wait(_WATCHDOG_SECONDS):
        if session.heartbeat.is_overdue():
            loop.abandon()
            _leave(session, ExitCode.ERROR)


def _end_after_grace(session: Session) -> None:
    """End the process although its main thread is stuck in one batch."""
    threading.Event().wait(_GRACE_SECONDS)
    _leave(session, ExitCode.TERMINATED)


def _leave(session: Session, code: ExitCode) -> None:
    session.writer.flush(_FLUSH_SECONDS)
    logging.shutdown()
    os._exit(code)
