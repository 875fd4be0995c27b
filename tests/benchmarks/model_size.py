"""Time and memory against the model's size: restoring a checkpoint and evaluating it, 1 M to 200 M parameters.

Dense layers, saved by tf.train.Checkpoint with plain SGD, so that a checkpoint holds the weights alone. Each side has a
process of its own for each size. Memory is the most that the process held; the limit for it is a process that evaluated
but restored nothing. There is little data, so that the time is that of the weights.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure, ours, peer, processes, workload
from benchmarks.evaluating import require_same
from benchmarks.rows import Figure, Row, Unit

TITLE = "Size of the model, tf_keras, TensorFlow format"
SIZES = (1_000_000, 10_000_000, 50_000_000, 200_000_000)
EXAMPLES = 64
ROUNDS = 3
SIDES = ("peer", "ours")


def rows(scratch: Path) -> Iterator[Row]:
    """Measure each size, with one checkpoint on the disk at a time."""
    for parameters in SIZES:
        directory = scratch / f"sized-{parameters}"
        arguments: dict[str, Any] = {"parameters": parameters, "directory": str(directory)}
        processes.call("benchmarks.model_size:save", **arguments)
        found = {side: processes.call(f"benchmarks.model_size:by_{side}", **arguments) for side in SIDES}
        for file in directory.iterdir():
            file.unlink()
        require_same(found["peer"]["scores"], found["ours"]["scores"])
        yield from _rows(f"{parameters // 1_000_000} M parameters", found)


def _rows(size: str, found: dict[str, Any]) -> Iterator[Row]:
    times = {side: Figure(**found[side]["times"]) for side in SIDES}
    peaks = {side: Figure(found[side]["peak"]) for side in SIDES}
    without = Figure(found["peer"]["before"])
    yield Row(f"{size}, restore and evaluate", Unit.SECONDS, times["ours"], times["peer"])
    yield Row(f"{size}, peak memory", Unit.MEBIBYTES, peaks["ours"], peaks["peer"], without)


def evaluation(parameters: int) -> Any:
    """Return four wide layers with about so many parameters, and their data; the entry point."""
    from sidecar_evaluator import Evaluation

    width = round((parameters / 4) ** 0.5)
    random = np.random.default_rng(4)
    x = random.normal(size=(EXAMPLES, width)).astype("float32")
    data = workload.dataset(x, random.integers(0, workload.CLASSES, EXAMPLES))
    return Evaluation(workload.dense(workload.module("tf_keras"), width), data)


def save(_report: processes.Report, parameters: int, directory: str) -> None:
    """Save one checkpoint with random weights."""
    import tensorflow as tf

    model = evaluation(parameters).model
    for seed, variable in enumerate(model.trainable_variables):
        deviation = (2 / variable.shape[0]) ** 0.5
        variable.assign(tf.random.stateless_normal(variable.shape, (seed, 0), stddev=deviation))
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(f"{directory}/ckpt")


def by_peer(report: processes.Report, parameters: int, directory: str) -> None:
    """Restore and evaluate as tf_keras's SidecarEvaluator does."""
    given = evaluation(parameters)
    restore, path = peer.restorer("tf_keras", given.model, workload.TENSORFLOW), f"{directory}/ckpt-1"
    peer.score(given.model, given.data)
    before = measure.peak_memory()

    def one() -> dict[str, float]:
        restore(path)
        return peer.score(given.model, given.data)

    _report_times(report, one, before)


def by_ours(report: processes.Report, parameters: int, directory: str) -> None:
    """Read and score as the loop does."""
    made = ours.built("benchmarks.model_size:evaluation", parameters=str(parameters))
    checkpoint = ours.found(Path(directory))[1]
    before = measure.peak_memory()
    _report_times(report, lambda: ours.scores(made, [ours.read(made, checkpoint)])[0], before)


def _report_times(report: processes.Report, one: Callable[[], dict[str, float]], before: float) -> None:
    scores = one()
    times = measure.in_turn({"one": lambda: measure.seconds(one)}, ROUNDS)["one"]
    report({"times": vars(times), "peak": measure.peak_memory(), "before": before, "scores": scores})
