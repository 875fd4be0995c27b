"""Time and memory against the model's size: restoring a checkpoint and evaluating it, 1 M to 200 M parameters.

Dense layers, saved by tf.train.Checkpoint with plain SGD, so that a checkpoint holds the weights alone. Each side has a
process of its own for each size, and the two take turns. Memory is the most that the process held; the limit for it is
a process that evaluated but restored nothing. There is little data, so that the time is that of the weights.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure, ours, peer, processes, workload
from benchmarks.evaluating import require_same
from benchmarks.rows import Bound, Budget, Figure, Row, Unit

TITLE = "Size of the model, tf_keras, TensorFlow format"
SIZES = (1_000_000, 10_000_000, 50_000_000, 200_000_000)
EXAMPLES = 64
ROUNDS = 5
LIMIT = 120.0
BUDGETS = (Budget(Bound.OF_PEER, 1.0),)
SIDES = ("peer", "ours")


def rows(scratch: Path) -> Iterator[Row]:
    """Measure each size."""
    processes.call("benchmarks.model_size:save_all", scratch=str(scratch))
    for parameters in SIZES:
        directory = scratch / f"sized-{parameters}"
        first_reports, times = _compare(parameters, str(directory))
        require_same(first_reports["peer"]["scores"], first_reports["ours"]["scores"])
        shutil.rmtree(directory)
        yield from _rows(f"{parameters // 1_000_000} M parameters", first_reports, times)


def _compare(parameters: int, directory: str) -> tuple[dict[str, Any], dict[str, Figure]]:
    """Let both sides restore and evaluate in turn; return what each found at its first time, and the other times."""
    with ExitStack() as stack:
        sides = {
            side: stack.enter_context(
                processes.Child(f"benchmarks.model_size:by_{side}", parameters=parameters, directory=directory)
            )
            for side in SIDES
        }
        first_reports = {side: child.next_report(LIMIT) for side, child in sides.items()}
        return first_reports, measure.in_turn(
            {side: partial(child.ask, LIMIT) for side, child in sides.items()}, ROUNDS
        )


def _rows(size: str, first_reports: dict[str, Any], times: dict[str, Figure]) -> Iterator[Row]:
    peaks = {side: Figure(first_reports[side]["peak"]) for side in SIDES}
    without = Figure(first_reports["peer"]["before"])
    yield Row(f"{size}, restore and evaluate", Unit.SECONDS, times["ours"], times["peer"], budgets=BUDGETS)
    yield Row(f"{size}, peak memory", Unit.MEBIBYTES, peaks["ours"], peaks["peer"], without)


def evaluation(parameters: int) -> Any:
    """Return four wide layers with about so many parameters, and their data; the entry point."""
    from sidecar_evaluator import Evaluation

    width = round((parameters / 4) ** 0.5)
    random = np.random.default_rng(4)
    x = random.normal(size=(EXAMPLES, width)).astype("float32")
    data = workload.dataset(x, random.integers(0, workload.CLASSES, EXAMPLES))
    return Evaluation(workload.dense(workload.module("tf_keras"), width), data)


def save_all(_report: processes.Report, scratch: str) -> None:
    """Save one checkpoint of each size."""
    for parameters in SIZES:
        _save(parameters, f"{scratch}/sized-{parameters}")


def _save(parameters: int, directory: str) -> None:
    """Save a checkpoint with random weights."""
    import tensorflow as tf

    model = evaluation(parameters).model
    for seed, variable in enumerate(model.trainable_variables):
        deviation = (2 / variable.shape[0]) ** 0.5
        variable.assign(tf.random.stateless_normal(variable.shape, (seed, 0), stddev=deviation))
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(f"{directory}/ckpt")


def by_peer(report: processes.Report, parameters: int, directory: str) -> None:
    """Restore and evaluate as tf_keras's SidecarEvaluator does."""
    peer_evaluation = evaluation(parameters)
    restore, path = peer.restorer("tf_keras", peer_evaluation.model, workload.TENSORFLOW), f"{directory}/ckpt-1"
    peer.score(peer_evaluation.model, peer_evaluation.data)
    before = measure.peak_memory()

    def one() -> dict[str, float]:
        restore(path)
        return peer.score(peer_evaluation.model, peer_evaluation.data)

    _serve(report, one, before)


def by_ours(report: processes.Report, parameters: int, directory: str) -> None:
    """Read and score as the loop does."""
    evaluator = ours.built("benchmarks.model_size:evaluation", parameters=str(parameters))
    checkpoint = ours.complete_checkpoints(Path(directory))[1]
    before = measure.peak_memory()
    _serve(report, lambda: ours.scores(evaluator, [ours.read(evaluator, checkpoint)])[0], before)


def _serve(report: processes.Report, one: Callable[[], dict[str, float]], before: float) -> None:
    """Report scores and memory of three times, then how long it takes as often as asked."""
    scores, *_ = (one() for _ in range(3))
    report({"peak": measure.peak_memory(), "before": before, "scores": scores})
    for _ in sys.stdin:
        report(measure.seconds(one))
