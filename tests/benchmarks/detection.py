"""A checkpoint is complete: how long until its evaluation starts, its weights restored.

The real evaluators run, each in its own process: the class `SidecarEvaluator` of either side, with the same arguments.
A Keras callback notes the moment in `on_test_begin`; the checkpoints come at moments that no poll can be in step with.
"""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import workload
from benchmarks.arriving import arrive
from benchmarks.processes import Child, Report
from benchmarks.rows import Bound, Budget, Figure, Row, Unit
from benchmarks.workload import KERAS_WEIGHTS, TENSORFLOW, WRITTEN_AS

TITLE = "Checkpoint complete → evaluation starts, local disk"
ROUNDS = 15
STARTED_WITHIN = 120
NOTICED_WITHIN = 60
BUDGETS = (Budget(Bound.AT_MOST, 0.050), Budget(Bound.OF_PEER, 0.15))
EXAMPLES = 200  # evaluated in a moment, so that the next checkpoint finds everybody waiting


@dataclass(frozen=True)
class Side:
    """One evaluator to measure, and how many seconds it rests before a checkpoint comes, at least and at most."""

    side: str
    keras: str
    form: str
    pause: tuple[float, float] = (0.1, 0.4)


PEER = Side("peer", "tf_keras", TENSORFLOW, (0.1, 1.1))  # it looks once a second
OURS = (Side("ours", "tf_keras", TENSORFLOW), Side("ours", "keras", TENSORFLOW), Side("ours", "keras", KERAS_WEIGHTS))


def rows(scratch: Path) -> Iterator[Row]:
    """Let checkpoints come to each evaluator in turn, one at a time."""
    with ExitStack() as stack:
        followers = {side: stack.enter_context(_Follower(side, scratch)) for side in (PEER, *OURS)}
        for follower in followers.values():
            follower.delay(1, STARTED_WITHIN)
        delays: dict[Side, list[float]] = {side: [] for side in followers}
        for number in range(2, ROUNDS + 2):
            for side, follower in followers.items():
                time.sleep(random.uniform(*side.pause))
                delays[side].append(follower.delay(number, NOTICED_WITHIN))
    peers = Figure.of(delays[PEER])
    for side in OURS:
        what = f"{WRITTEN_AS[side.keras]}, {side.form}"
        yield Row(what, Unit.SECONDS, Figure.of(delays[side]), peers, budgets=BUDGETS)


class _Follower(Child):
    """An evaluator that runs, and the directory that it watches."""

    def __init__(self, side: Side, scratch: Path) -> None:
        self._side = side
        self._source = workload.checkpoints(scratch, side.keras, side.form)
        self._directory = scratch / f"watched-{side.side}-{side.keras}-{side.form}"
        self._directory.mkdir()
        arguments = {"side": side.side, "keras": side.keras, "directory": str(self._directory)}
        super().__init__("benchmarks.detection:follow", **arguments)

    def delay(self, number: int, limit: float) -> float:
        """Let a checkpoint come; return the seconds until its evaluation started."""
        complete = arrive(self._source, self._directory, number, self._side.form)
        while True:
            began = self.next_report(limit)
            if began["iterations"] == number:  # training did one step for each checkpoint
                return float(began["at"]) - complete


def follow(report: Report, side: str, keras: str, directory: str) -> None:
    """Run an evaluator that reports when evaluations start; it is ended from outside."""
    keras_module = workload.module(keras)

    class Began(keras_module.callbacks.Callback):  # type: ignore[name-defined, misc]
        def on_test_begin(self, logs: object = None) -> None:
            at = time.monotonic()
            report({"at": at, "iterations": int(self.model.optimizer.iterations.numpy())})

    model, data = workload.cnn(keras_module), workload.dataset(*workload.images(EXAMPLES))
    _evaluator(side)(model, data, directory, callbacks=[Began()]).start()


def _evaluator(side: str) -> Any:
    if side == "peer":
        from tf_keras.utils import SidecarEvaluator as Peer

        return Peer
    from sidecar_evaluator import SidecarEvaluator

    return SidecarEvaluator
