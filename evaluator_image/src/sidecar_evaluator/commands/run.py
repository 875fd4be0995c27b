"""`sidecar-evaluator run`: one process from its flags to its exit code.

Called by the command line alone. Order matters: the server answers before TensorFlow is imported, the
earlier results are read before anything is evaluated, and sinks are flushed before any exit code is
given.
"""

import logging
import threading
from dataclasses import replace
from functools import partial
from socketserver import BaseServer

from prometheus_client import disable_created_metrics

from sidecar_evaluator.assembly import Surroundings, assemble
from sidecar_evaluator.commands.config import Config
from sidecar_evaluator.commands.earlier_results import earlier_results
from sidecar_evaluator.commands.model_setup import evaluator_of
from sidecar_evaluator.commands.session import Session
from sidecar_evaluator.commands.shutdown import end_after_grace, watch_deadline
from sidecar_evaluator.discovery.training_end import training_finished
from sidecar_evaluator.errors import ExitCode
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.kube.resource import watch
from sidecar_evaluator.loop import Loop
from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.runtime.http_server import Application, serve
from sidecar_evaluator.runtime.signals import stop_on_signals

_log = logging.getLogger(__name__)


def run(config: Config) -> ExitCode:
    """Evaluate until there is nothing more to evaluate; return the exit code.

    Raises ConfigurationError, IterationsMissingError, StorageGoneError: see `errors`.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    session = Session(config)
    stop_on_signals(session.stop, partial(end_after_grace, session))
    server = _serve(session) if config.port else None
    try:
        results = _evaluate(session)
    finally:
        written = session.writers.flush()  # also what was settled before an error
        session.writers.writer.close()
        session.source.changes.close()
        if server:
            server.shutdown()
    return _exit_code(results, written=written)


def _exit_code(results: Results, *, written: bool) -> ExitCode:
    if results.ended is None:
        return ExitCode.TERMINATED
    if not written:
        _log.error("Not all results could be written; a restart goes on from those that were.")
        return ExitCode.ERROR
    return ExitCode.DRAINED


def _serve(session: Session) -> BaseServer:
    application = Application(session.writers.registry, session.heartbeat.is_alive, session.readiness.is_ready)
    return serve(session.config.port, application)


def _evaluate(session: Session) -> Results:
    earlier = earlier_results(session)
    evaluator = _evaluator(session)
    _copy_best(session, earlier.results)
    loop = assemble(session.source, evaluator, _surroundings(session), earlier)
    _start_threads(session, loop)
    results = loop.run()
    if results.ended:
        _copy_best(session, results)
    return results


def _evaluator(session: Session) -> ModelEvaluator:
    """Build the model: importing TensorFlow and tracing can take minutes on a slow disk."""
    session.heartbeat.begin()
    evaluator = evaluator_of(session.config.model, session.stop)
    session.heartbeat.end()
    session.writers.metrics.follow_examples(lambda: evaluator.examples)
    session.readiness.model_built.set()
    return evaluator


def _copy_best(session: Session, results: Results) -> None:
    """Make up for a copy of the best checkpoint that an earlier process, or an error, left out."""
    if session.writers.best:
        session.heartbeat.begin()
        session.writers.best.reconcile(results.best, session.find)
        session.heartbeat.end()


def _surroundings(session: Session) -> Surroundings:
    config, writers = session.config, session.writers
    surroundings = Surroundings(
        writer=writers.writer,
        stop=session.stop,
        training_finished=training_finished(config.sentinel, session.training.has_ended),
        clock=session.clock,
        heartbeat=session.heartbeat,
        rules=config.rules,
        timeout=config.evaluation_timeout,
        on_look=session.on_look,
        on_obstacle=session.on_obstacle,
        enter=writers.metrics.enter,
        provenance=session.provenance,
    )
    return replace(surroundings, keep_best=writers.best.keep) if writers.best else surroundings


def _start_threads(session: Session, loop: Loop) -> None:
    if session.resource:
        arguments = (session.resource, session.on_change, session.watching.failed, session.stop)
        threading.Thread(target=watch, args=arguments, name="resource", daemon=True).start()
    if session.config.evaluation_timeout:
        threading.Thread(target=watch_deadline, args=(session, loop), name="watchdog", daemon=True).start()
