"""`sidecar-evaluator run`: puts the parts together, runs the loop, and ends the process well.

Called by the command line alone. Order matters: the server answers before TensorFlow is imported,
the ledger is read before anything is evaluated, and sinks are flushed before any exit code is given.
"""

import logging
import threading
from dataclasses import replace
from functools import partial
from socketserver import BaseServer

from prometheus_client import disable_created_metrics

from sidecar_evaluator.checkpoints.prefetcher import Prefetcher
from sidecar_evaluator.commands.config import Config
from sidecar_evaluator.commands.model_setup import built
from sidecar_evaluator.commands.session import Session
from sidecar_evaluator.commands.shutdown import FLUSH_SECONDS, end_after_grace, watch_deadline
from sidecar_evaluator.discovery.change_waiter import listing_age
from sidecar_evaluator.discovery.iterator import Watcher
from sidecar_evaluator.discovery.training_end import training_finished
from sidecar_evaluator.engine.memory import fits
from sidecar_evaluator.errors import ExitCode
from sidecar_evaluator.evaluator import ModelEvaluation
from sidecar_evaluator.kube.resource import read_patiently, watch_training
from sidecar_evaluator.loop import Loop
from sidecar_evaluator.results.journal import run_identity
from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.resume import Resumed, resume_from
from sidecar_evaluator.results.serialization import parse
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
        written = session.writer.flush(FLUSH_SECONDS)  # also what was settled before an error
        session.writer.close()
        session.notices.close()
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
    application = Application(session.registry, session.heartbeat.is_alive, session.is_ready)
    return serve(session.config.port, application)


def _evaluate(session: Session) -> Results:
    earlier = _earlier(session)
    evaluation = _prepared(session)
    _copy_best(session, earlier.results)
    loop = _loop(session, evaluation, earlier)
    _start_threads(session, loop)
    results = loop.run()
    if results.ended:
        _copy_best(session, results)
    return results


def _earlier(session: Session) -> Resumed:
    """Read what earlier processes left in the resource and in the journal."""
    found = read_patiently(session.resource, session.stop) if session.resource else {}
    status = replace(parse(found.get("status", {}).get("results", {})), ended=None)
    identity = run_identity(found.get("metadata", {}).get("uid"), session.config.model.checkpoint_dir)
    earlier = resume_from(session.journal, identity, status, session.config.rules)
    if session.lines:
        session.lines.resume(identity, earlier.unwritten, earlier.results.counts.skipped)
    session.metrics.resume(earlier.results)
    return earlier


def _prepared(session: Session) -> ModelEvaluation:
    """Build the model: importing TensorFlow and tracing can take minutes on a slow disk."""
    session.heartbeat.begin()
    evaluation = built(session.config.model, session.stop)
    session.heartbeat.end()
    session.metrics.follow_examples(lambda: evaluation.examples)
    session.model_built.set()
    return evaluation


def _copy_best(session: Session, results: Results) -> None:
    """Make up for a copy of the best checkpoint that an earlier process, or trouble, left out."""
    if session.best_copies and session.keeper:
        session.heartbeat.begin()
        session.keeper.finish()
        session.best_copies.reconcile(results.best, session.find)
        session.heartbeat.end()


def _loop(session: Session, evaluation: ModelEvaluation, earlier: Resumed) -> Loop:
    config = session.config
    told = config.listing_age
    age = listing_age(config.model.checkpoint_dir) if told is None else told
    prefetcher = Prefetcher(evaluation.read, fits)
    watcher = Watcher(
        directory=session.directory,
        policy=replace(config.policy, listing_age=age),
        clock=session.clock,
        stop=session.stop,
        notices=session.notices,
        training_finished=training_finished(config.sentinel, session.training.has_come),
        covered=lambda checkpoint: earlier.covers(checkpoint, config.policy.selection),
        on_look=session.looked,
        beat=session.heartbeat.beat,
        group_limit=lambda waiting: evaluation.pass_size(waiting, prefetcher.last_size),
        highest_settled=earlier.highest,
    )
    loop = Loop(
        watcher=watcher,
        evaluator=evaluation,
        writer=session.writer,
        clock=session.clock,
        rules=config.rules,
        results=earlier.results,
        heartbeat=session.heartbeat,
        timeout=config.evaluation_timeout,
        enter=session.metrics.enter,
        prefetcher=prefetcher,
    )
    if session.keeper:
        loop.keep_best = session.keeper.keep
    return loop


def _start_threads(session: Session, loop: Loop) -> None:
    if session.config.follow_training and session.resource:
        arguments = (session.resource, session.trained, session.stop)
        threading.Thread(target=watch_training, args=arguments, name="training", daemon=True).start()
    if session.config.evaluation_timeout:
        threading.Thread(target=watch_deadline, args=(session, loop), name="watchdog", daemon=True).start()
