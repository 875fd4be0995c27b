"""What a restart reads first: a journal of thousands of lines, united with an empty status.

It is measured in a process of its own, without TensorFlow. There is no peer: the class of tf_keras forgets everything
with its process.
"""

import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.measure import in_turn, seconds
from benchmarks.rows import Bound, Budget, Figure, Row, Unit
from sidecar_evaluator.results.jsonl_records import NAME, Entry, render_line
from sidecar_evaluator.results.ledger import Results, Rules
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Score
from sidecar_evaluator.results.ranking import Goal, Primary
from sidecar_evaluator.results.resume import Resumed, resume_from
from sidecar_evaluator.storage.append_log import AppendLog

TITLE = "Start with the results of earlier processes (results.jsonl)"
LINES, ROUNDS, RUN = 10_000, 7, "run"


def rows(scratch: Path) -> Iterator[Row]:
    """Write a long journal, then resume from it again and again."""
    folder = scratch / "resuming"
    _write(folder)
    measured: dict[str, Any] = processes.call("benchmarks.resuming:measure", folder=str(folder))
    figures = {name: Figure(**figure) for name, figure in measured.items()}
    what = f"resuming from {LINES:,} checkpoints"
    yield Row(what, Unit.SECONDS, figures["seconds"], budgets=(Budget(Bound.AT_MOST, 1.0),))
    yield Row(f"{what}, peak memory", Unit.MEBIBYTES, figures["peak"], budgets=(Budget(Bound.AT_MOST, 4.0),))


def measure(report: processes.Report, folder: str) -> None:
    """Report how long it takes, and how much memory it holds at most."""
    resuming = partial(_resume, Path(folder))
    taken = in_turn({"ours": partial(seconds, resuming)}, ROUNDS)["ours"]
    tracemalloc.start()
    assert resuming().results.counts.evaluated == LINES
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    report({"seconds": vars(taken), "peak": vars(Figure(peak))})


def _resume(folder: Path) -> Resumed:
    rules = Rules(Primary("accuracy", Goal.MAXIMIZE), history_limit=10)
    return resume_from(AppendLog(folder, NAME), RUN, Results(), rules)


def _write(folder: Path) -> None:
    outcomes = (
        Outcome(f"ckpt-{at}", OutcomeKind.EVALUATED, at, 10.0, 12.0, 2.0, scores=(Score("accuracy", at / LINES),))
        for at in range(LINES)
    )
    AppendLog(folder, NAME).append(
        [b"".join(render_line(Entry(outcome, 0, at), RUN) for at, outcome in enumerate(outcomes))]
    )
