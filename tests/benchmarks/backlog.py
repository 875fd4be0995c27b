"""Several checkpoints wait under Every: K of them scored in one pass over the data.

The evaluation is bound by its input: each image is decoded from JPEG and scaled down, which takes longer than the
small network. Eight checkpoints are scored by passes of 1, 2, 4 and 8; each batch is read and decoded once a pass. The
scores must be those of passes of one to 1e-6. The peer scores them by eight calls of `model.evaluate`.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure, ours, peer, processes, workload
from benchmarks.evaluating import require_same
from benchmarks.rows import Figure, Row, Unit
from benchmarks.workload import WRITTEN_AS
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator

TITLE = "Eight waiting checkpoints, input-bound evaluation (500 JPEG images of 256 x 256), K in one pass"
WAITING = 8
SIZES = (1, 2, 4, 8)
EXAMPLES = 500
WIDTH = 256
ROUNDS = 3


def rows(scratch: Path) -> Iterator[Row]:
    """Measure each Keras."""
    for keras in workload.KERASES:
        directory = str(workload.checkpoints(scratch, keras, workload.TENSORFLOW))
        times = processes.call("benchmarks.backlog:compare", keras=keras, directory=directory)
        single = times[str(SIZES[0])]["median"]
        for size in SIZES:
            figure = Figure(**times[str(size)])
            note = f"{single / figure.median:.1f} times as fast as K = 1" if size > 1 else ""
            yield Row(f"{WRITTEN_AS[keras]}, K = {size}", Unit.SECONDS, figure, Figure(**times["peer"]), note=note)


def evaluation(keras: str) -> Any:
    """Return the CNN and a dataset that decodes; the entry point."""
    import tensorflow as tf

    from sidecar_evaluator import Evaluation

    encode = tf.io.encode_jpeg
    noise = np.random.default_rng(3).integers(0, 255, (50, WIDTH, WIDTH, 1), dtype="uint8")
    encoded = [encode(image).numpy() for image in noise]
    files = tf.data.Dataset.from_tensor_slices((encoded, np.arange(50) % workload.CLASSES))
    data = files.repeat(EXAMPLES // 50).map(_decode).batch(workload.BATCH).prefetch(2)
    return Evaluation(workload.cnn(workload.module(keras)), data)


def compare(report: processes.Report, keras: str, directory: str) -> None:
    """Score all that wait by passes of each size; runs in a process of its own."""
    evaluator, peer_evaluation = ours.built("benchmarks.backlog:evaluation", keras=keras), evaluation(keras)
    checkpoints = ours.complete_checkpoints(Path(directory))
    waiting = [ours.read(evaluator, checkpoints[number]) for number in range(1, WAITING + 1)]
    expected = _by_passes(evaluator, waiting, 1)
    for size in SIZES[1:]:
        for one, another in zip(expected, _by_passes(evaluator, waiting, size), strict=True):
            require_same(one, another)
    sides: dict[str, measure.Side] = {str(size): partial(_by_passes, evaluator, waiting, size) for size in SIZES}
    sides["peer"] = lambda: [peer.score(peer_evaluation.model, peer_evaluation.data) for _ in waiting]
    report({name: vars(side) for name, side in measure.interleaved(sides, ROUNDS, warm_up=0).items()})


def _by_passes(evaluator: ModelEvaluator, waiting: Sequence[Loaded], size: int) -> list[dict[str, float]]:
    passes = [waiting[first : first + size] for first in range(0, len(waiting), size)]
    return [scores for one_pass in passes for scores in ours.scores(evaluator, one_pass)]


def _decode(encoded: Any, label: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    image = tf.image.resize(tf.io.decode_jpeg(encoded, channels=1), (workload.SIDE, workload.SIDE))
    return image / 255.0, label
