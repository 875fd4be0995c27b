"""`SidecarEvaluator`: the loop for use from Python, a drop-in successor of the Keras 2 class.

For a person beside a training, without Kubernetes: results go to the log and to the callbacks.
`sidecar-evaluator run` puts the same loop together with more around it.
"""

import operator
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sidecar_evaluator.discovery.claims import NamePatterns
from sidecar_evaluator.discovery.filesystems import MOUNT_THE_BUCKET, is_url
from sidecar_evaluator.discovery.iterator import Policy
from sidecar_evaluator.discovery.training_end import SENTINEL, training_finished
from sidecar_evaluator.entrypoint import Evaluation, is_positive, require_valid
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.runtime.console_log import shown_on_console
from sidecar_evaluator.writers.log import LogWriter

_NAME = "SidecarEvaluator"


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
    higher one, in its name; with None or 0 it ends only if a file `training.finished` appears in the
    directory. `callbacks` are Keras callbacks, whose `on_test_...` methods are called. The
    optimizer's iterations are those of the checkpoint, so that `TensorBoard(log_dir)` writes
    `evaluation_<metric>_vs_iterations` to `log_dir/validation`. `include` and `exclude` are patterns
    such as `best*`: only checkpoints whose name, or file's name, matches the one, or does not match
    the other, are evaluated. Scores go to the log
    `sidecar_evaluator`, and to standard error where no handler of the program shows them.

    Each argument is an attribute of the same name that may be set until `start` is called, which
    reads and checks them; the constructor accepts any value. After `start` the model holds the
    weights, iterations and metric results of the last checkpoint.
    """

    def __init__(  # noqa: PLR0917 - the Keras 2 class takes them by position
        self,
        model: Any,
        data: Any,
        checkpoint_dir: str | os.PathLike[str],
        steps: int | None = None,
        max_evaluations: int | None = None,
        callbacks: Sequence[Any] | None = None,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.data = data
        self.checkpoint_dir = checkpoint_dir
        self.steps = steps
        self.max_evaluations = max_evaluations
        self.callbacks = callbacks or []
        self.include = include
        self.exclude = exclude

    def start(self) -> None:
        """Evaluate until `max_evaluations` is reached or training has finished.

        Raises ConfigurationError, a ValueError: an attribute is not what it must be, the model has no
        metrics, or the directory cannot be read. IterationsMissingError, a RuntimeError: the first
        checkpoint lacks the training iterations.
        """
        evaluation, checkpoint_dir, policy = self._validated()
        patterns = NamePatterns(_patterns(self.include, "include"), _patterns(self.exclude, "exclude"))
        from sidecar_evaluator.assembly import Surroundings, assemble, checkpoint_source, prepared_evaluator

        with shown_on_console("sidecar_evaluator"):
            stop = threading.Event()
            evaluator = prepared_evaluator(evaluation, stop)
            source = checkpoint_source(checkpoint_dir, stop, policy, patterns=patterns)
            surroundings = Surroundings(LogWriter(), stop, training_finished(SENTINEL, lambda: False))
            try:
                assemble(source, evaluator, surroundings).run()
            finally:
                stop.set()
                source.changes.close()

    def _validated(self) -> tuple[Evaluation, Path, Policy]:
        """Return the attributes in the types that the loop takes.

        Raises ConfigurationError: one is not what it must be.
        """
        if not callable(getattr(self.model, "evaluate", None)):
            raise ConfigurationError(f"{_NAME}'s model is a {type(self.model).__name__}; give a compiled Keras model.")
        evaluation = Evaluation(self.model, self.data, self.steps, self.callbacks)
        require_valid(evaluation, _NAME)
        policy = Policy(max_evaluations=_limit(self.max_evaluations))
        return evaluation, _directory(self.checkpoint_dir), policy


def _directory(checkpoint_dir: Any) -> Path:
    """Return the path; unlike the Keras 2 class, which reads buckets itself, this one needs them mounted."""
    if not isinstance(checkpoint_dir, (str, os.PathLike)) or not os.fspath(checkpoint_dir):
        raise ConfigurationError(f"{_NAME}'s checkpoint_dir is {checkpoint_dir!r}; give the path of a directory.")
    if is_url(str(checkpoint_dir)):
        raise ConfigurationError(f"{_NAME}'s checkpoint_dir is the URL {checkpoint_dir}; {MOUNT_THE_BUCKET}.")
    return Path(checkpoint_dir)


def _patterns(patterns: Any, name: str) -> tuple[str, ...]:
    """Return the patterns; a string is not taken for a list of letters."""
    if isinstance(patterns, (list, tuple)) and all(isinstance(pattern, str) for pattern in patterns):
        return tuple(patterns)
    raise ConfigurationError(f"{_NAME}'s {name} is {patterns!r}; it must be a list of patterns such as ['best*'].")


def _limit(max_evaluations: Any) -> int | None:
    """Return the limit; 0 is none, as in the Keras 2 class."""
    if max_evaluations is None or max_evaluations == 0:
        return None
    if not is_positive(max_evaluations):
        raise ConfigurationError(
            f"{_NAME}'s max_evaluations is {max_evaluations!r}; it must be a whole number above 0, or None."
        )
    return operator.index(max_evaluations)
