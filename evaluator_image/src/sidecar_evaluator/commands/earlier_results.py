"""What earlier processes of this run have left, read before anything is evaluated, and whether it still counts.

`run` calls it once. Results of other code are laid aside here where the user has asked for that. Nothing is evaluated.
"""

from dataclasses import replace
from pathlib import Path

from sidecar_evaluator.code_directory import OnChange
from sidecar_evaluator.commands.session import Session
from sidecar_evaluator.kube.resource import read_patiently
from sidecar_evaluator.results.evaluator_report import EvaluatorReport
from sidecar_evaluator.results.jsonl_records import run_identity
from sidecar_evaluator.results.ledger import Counts, Results
from sidecar_evaluator.results.resume import Resumed, resume_from, without_other_code
from sidecar_evaluator.results.serialization import parse


def earlier_results(session: Session) -> Resumed:
    """Read what is in the resource and in the journal, and say in the resource that this evaluator goes on from it.

    See `resume_from` and `read_patiently` for what is raised.
    """
    session.heartbeat.begin()  # waiting for the resource is no reason to be restarted
    resource = read_patiently(session.resource, session.stop) if session.resource else {}
    session.heartbeat.end()
    session.learn_image(resource)
    config = session.config
    run = run_identity(resource.get("metadata", {}).get("uid"), config.model.checkpoint_dir)
    status = replace(parse(resource.get("status", {}).get("results", {})), ended=None)
    run, status = _of_this_code(session, run, status)
    directory = status.evaluator.directory if status.evaluator else ""
    if directory and status.counts != Counts():  # a link may lead elsewhere by now
        session.source.directory.bind(Path(directory))
    earlier = resume_from(session.writers.journal, run, status, config.rules, config.retry_failed_before)
    session.writers.resume(run, earlier)
    report = EvaluatorReport(session.pod, session.clock.time(), session.code_digest)
    session.writers.introduce(report, earlier.results)
    return earlier


def _of_this_code(session: Session, run: str, status: Results) -> tuple[str, Results]:
    """Return the run and the status as they are for this process's code: each code has a journal of its own."""
    if session.config.on_code_change is not OnChange.RESTART or not session.code_digest:
        return run, status
    counting = without_other_code(status, session.code_digest, session.clock.time())
    return f"{run}/{session.code_digest.removeprefix('sha256:')[:16]}", counting
