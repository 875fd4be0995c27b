"""`SidecarEvaluator`: the loop for use from Python, with the arguments of the Keras 2 class.

For a person beside a training, without Kubernetes: results go to the log and to the callbacks.
`sidecar-evaluator run` puts the same loop together with more around it.
"""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sidecar_evaluator.discovery.iterator import Policy
from sidecar_evaluator.discovery.training_end import SENTINEL, training_finished
from sidecar_evaluator.entrypoint import Evaluation, require_valid
from sidecar_evaluator.writers.log import LogWriter


class SidecarEvaluator:
    """Evaluates the newest checkpoint of a directory, again and again, as training saves them.

    `model` is a compiled model of Keras 3 or tf_keras, of the architecture that is trained. `data`
    is what `model.evaluate` takes as its first argument. Training saves to `checkpoint_dir` with
    `tf.train.Checkpoint(model=model, optimizer=optimizer)` and a `tf.train.CheckpointManager`, or
    with `ModelCheckpoint(save_weights_only=True)`: to `ckpt-{epoch}` with tf_keras, to
    `ckpt-{epoch}.weights.h5` with Keras 3. Checkpoints that appear while one is evaluated are passed
    over but for the newest.

    `steps` is the number of batches of one evaluation, None for all; an endless dataset needs it.
    `max_evaluations` ends the evaluator once it has settled a checkpoint with this number, or a
    higher one, in its name; with None it ends only if a file `training.finished` appears in the
    directory. `callbacks` are Keras callbacks, whose `on_test_...` methods are called. The
    optimizer's iterations are those of the checkpoint, so that `TensorBoard(log_dir)` writes
    `evaluation_<metric>_vs_iterations` to `log_dir/validation`.
    """

    def __init__(  # noqa: PLR0917 - the Keras 2 class takes them by position
        self,
        model: Any,
        data: Any,
        checkpoint_dir: str | os.PathLike[str],
        steps: int | None = None,
        max_evaluations: int | None = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self._evaluation = Evaluation(model, data, steps, callbacks)
        require_valid(self._evaluation)
        self._checkpoint_dir = Path(checkpoint_dir)
        self._max_evaluations = max_evaluations

    def start(self) -> None:
        """Evaluate until `max_evaluations` is reached or training has finished.

        Raises ConfigurationError: the model has no metrics, or the directory cannot be read.
        IterationsMissingError: the first checkpoint lacks the training iterations; a RuntimeError.
        """
        from sidecar_evaluator.assembly import Surroundings, assemble, checkpoint_source, prepared_evaluator

        _show_log()
        stop = threading.Event()
        evaluator = prepared_evaluator(self._evaluation, stop)
        source = checkpoint_source(self._checkpoint_dir, stop, Policy(max_evaluations=self._max_evaluations))
        surroundings = Surroundings(LogWriter(), stop, training_finished(SENTINEL, lambda: False))
        try:
            assemble(source, evaluator, surroundings).run()
        finally:
            stop.set()
            source.changes.close()


def _show_log() -> None:
    """Show progress on standard error where the program has not set up logging."""
    logger = logging.getLogger("sidecar_evaluator")
    if not logger.hasHandlers():
        logger.addHandler(logging.StreamHandler(sys.stderr))
        logger.setLevel(logging.INFO)
