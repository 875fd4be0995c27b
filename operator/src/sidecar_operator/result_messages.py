"""How results are put into words: what became of a checkpoint, of all of them, and why there is no score.

`verdict` calls it for the messages of conditions. Pure. Each message says what is wrong, where, and what to do.
"""

from sidecar_operator import names
from sidecar_operator.resource_view import Result, Results, SidecarEvaluation

RUN_AGAIN = (
    "to run again, correct the cause and annotate the resource with "
    f'{names.RESTARTED_AT_ANNOTATION}="$(date -Is)", or change the spec'
)


def why_none(evaluation: SidecarEvaluation) -> str:
    """Return what became of the last checkpoint and what to do; without one, the directory to check."""
    if evaluation.results.history:
        return f"{outcome(evaluation.results.last_settled)} ({RUN_AGAIN})"
    problem = evaluation.results.problem_message
    return (
        f"none is complete in directory {evaluation.checkpoints_path!r} of the source{problem and f' ({problem})'}; "
        "check that the training saves there, or correct spec.checkpoints in a new resource"
    )


def outcome(result: Result) -> str:
    """Return what became of a checkpoint, such as `ckpt-1 failed (Unreadable): truncated`."""
    reason = f" ({result.reason})" if result.reason else ""
    return f"{result.checkpoint} {result.outcome}{reason}" + (f": {result.message}" if result.message else "")


def summary(results: Results) -> str:
    """Return how many were evaluated, and the score of the last one."""
    latest = results.latest
    step = "" if latest.step is None else f" at step {latest.step}"
    scores = ", ".join(f"{metric.name}={metric.value}" for metric in latest.metrics)
    score = latest.score or scores or "no score"
    return f"{results.evaluated_count} evaluated, the last {latest.checkpoint or 'unknown'}{step}: {score}"
