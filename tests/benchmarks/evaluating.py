"""One evaluation of a small network on 10,000 images in memory: ours beside `model.evaluate` and a compiled loop.

Every side has the same model with the weights of the same checkpoint, and ours has to assign them each time. A score
of a mode that is on by default, or that only keeps the data, must be the peer's to 1e-6: another one ends the run. For
XLA and mixed precision, the table says how far the scores are off.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import limit, measure, ours, peer, processes, workload
from benchmarks.rows import Bound, Budget, Figure, Row, Unit
from benchmarks.workload import WRITTEN_AS
from sidecar_evaluator.options import Compilation, DataInMemory, Options, Precision

TITLE = "One evaluation, small CNN, 10,000 images of 28 x 28"
ROUNDS = 15
WARM_UP = 6  # evaluations until steps have come to run side by side, and are compiled for it
INEXACT_ROUNDS = 3
TOLERANCE = 1e-6
DEFAULT = "by default"
EXACT = {
    DEFAULT: Options(),
    "data kept in host memory": Options(data_in_memory=DataInMemory.HOST),
    "data kept in device memory": Options(data_in_memory=DataInMemory.DEVICE),
}
INEXACT = {
    "XLA": Options(data_in_memory=DataInMemory.DEVICE, compilation=Compilation.XLA),
    "mixed float16": Options(data_in_memory=DataInMemory.DEVICE, precision=Precision.MIXED_FLOAT16),
    "mixed bfloat16": Options(data_in_memory=DataInMemory.DEVICE, precision=Precision.MIXED_BFLOAT16),
}

Scores = dict[str, float]
Scorer = Callable[[], Scores]


class WrongScoreError(Exception):
    """A score is not what the peer computes: the measurement is worth nothing."""


def rows(scratch: Path) -> Iterator[Row]:
    """Measure with Keras 3 and tf_keras."""
    for keras in workload.KERASES:
        directory = workload.checkpoints(scratch, keras, workload.TENSORFLOW)
        comparison = processes.call("benchmarks.evaluating:compare", keras=keras, directory=str(directory))
        yield from _rows(
            WRITTEN_AS[keras], {name: Figure(**side) for name, side in comparison["times"].items()}, comparison
        )


def require_same(expected: Scores, actual: Scores, tolerance: float = TOLERANCE) -> None:
    """Raise WrongScoreError unless both have the same metrics with the same values."""
    if expected.keys() != actual.keys() or not distance(expected, actual) <= tolerance:  # NaN is in no order
        raise WrongScoreError(f"expected {expected}, found {actual}")


def distance(expected: Scores, actual: Scores) -> float:
    """Return how far the metric is off that is furthest off."""
    return float(np.max([abs(expected[name] - actual[name]) for name in expected]))  # NaN if any is


def compare(report: processes.Report, keras: str, directory: str) -> None:
    """Time every side in turn and report times and how far scores are off; runs in a process of its own."""
    exact = _scorers(keras, Path(directory), EXACT)
    inexact = _scorers(keras, Path(directory), INEXACT)
    base = _baselines(keras, Path(directory))
    expected = base["peer"]()
    for scorer in (base["limit"], *exact.values()):
        require_same(expected, scorer())
    off = {name: distance(expected, scorer()) for name, scorer in inexact.items()}
    times = measure.interleaved({**base, **exact}, ROUNDS, WARM_UP) | measure.interleaved(inexact, INEXACT_ROUNDS)
    report({"times": {name: vars(side) for name, side in times.items()}, "off": off})


def _baselines(keras: str, directory: Path) -> dict[str, Scorer]:
    """Return the peer and the limit, with the checkpoint's weights."""
    model = workload.cnn(workload.module(keras))
    peer.restorer(keras, model, workload.TENSORFLOW)(peer.path_of(directory, 1, workload.TENSORFLOW))
    x, y = workload.images()
    data = workload.dataset(x, y)
    return {"peer": lambda: peer.score(model, data), "limit": limit.loop(model, x, y)}


def _scorers(keras: str, directory: Path, modes: Mapping[str, Options]) -> dict[str, Scorer]:
    return {name: _scorer(keras, directory, options) for name, options in modes.items()}


def _scorer(keras: str, directory: Path, options: Options) -> Scorer:
    evaluation = ours.built(options=options, keras=keras)
    workload.module(keras).mixed_precision.set_global_policy("float32")  # the next one is built in this process too
    loaded = ours.read(evaluation, ours.complete_checkpoints(directory)[1])
    return lambda: ours.scores(evaluation, [loaded])[0]


def _rows(keras: str, times: Mapping[str, Figure], comparison: Mapping[str, Any]) -> Iterator[Row]:
    budgets = {
        DEFAULT: (Budget(Bound.OF_PEER, 0.8),),
        "data kept in device memory": (Budget(Bound.OF_PEER, 0.5), Budget(Bound.OF_LIMIT, 1.2)),
    }
    for name in (*EXACT, *INEXACT):
        note = f"scores {comparison['off'][name]:.1e} off" if name in INEXACT else ""
        what = f"{keras}, {name}"
        yield Row(what, Unit.SECONDS, times[name], times["peer"], times["limit"], budgets.get(name, ()), note)
