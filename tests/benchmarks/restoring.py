"""Restoring alone: a checkpoint's weights from local disk into the model.

The peer is what its side does for it: tf_keras's SidecarEvaluator restores the optimizer too and reads the list of
variables again; Keras 3's own `load_weights` reads `.weights.h5`. Afterwards the weights must be the same.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure, ours, peer, processes, workload
from benchmarks.rows import Figure, Row, Unit
from benchmarks.workload import KERAS_WEIGHTS, TENSORFLOW, WRITTEN_AS

TITLE = "Restoring a checkpoint, small CNN with Adam"
ROUNDS = 20
CASES = (("tf_keras", TENSORFLOW), ("keras", TENSORFLOW), ("keras", KERAS_WEIGHTS))


def rows(scratch: Path) -> Iterator[Row]:
    """Measure each format."""
    for keras, form in CASES:
        directory = str(workload.checkpoints(scratch, keras, form))
        sides = processes.call("benchmarks.restoring:compare", keras=keras, form=form, directory=directory)
        times = {name: Figure(**side) for name, side in sides.items()}
        yield Row(f"{WRITTEN_AS[keras]}, {form}", Unit.SECONDS, times["ours"], times["peer"])


def compare(report: processes.Report, keras: str, form: str, directory: str) -> None:
    """Restore every checkpoint by both sides in turn; runs in a process of its own."""
    keras_module, place = workload.module(keras), Path(directory)
    model, other = workload.cnn(keras_module), workload.cnn(keras_module)
    by_us, by_peer = ours.restorer(model), peer.restorer(keras, other, form)
    checkpoints = ours.complete_checkpoints(place)
    numbers = {"ours": 0, "peer": 0}

    def following(side: str) -> int:
        numbers[side] = numbers[side] % workload.CHECKPOINTS + 1
        return numbers[side]

    sides = {
        "ours": lambda: by_us(checkpoints[following("ours")]),
        "peer": lambda: by_peer(peer.path_of(place, following("peer"), form)),
    }
    times = measure.interleaved(sides, ROUNDS)
    _require_same_weights(model, other)
    report({name: vars(side) for name, side in times.items()})


def _require_same_weights(model: Any, other: Any) -> None:
    for one, another in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, another)
