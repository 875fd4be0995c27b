"""One model, scored on its datasets: what the loop asks for.

The loop reads checkpoints, here or ahead of time in another thread, and hands one or several over to
be scored, for which the modules of `engine` do the work. It treats models of Keras 3 and tf_keras
alike, and imports neither: the user's code does, or the format whose checkpoints hold the model.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.engine import memory
from sidecar_evaluator.engine.apply_options import require_options_applied
from sidecar_evaluator.engine.dataset_pass import Progress
from sidecar_evaluator.engine.datasets import named_datasets, require_repeatable
from sidecar_evaluator.engine.keras_model import KerasModel, require_compiled
from sidecar_evaluator.engine.scoring import Loaded, ModelScoring
from sidecar_evaluator.engine.stepper import Stepper
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import CheckpointIncompatible, ConfigurationError
from sidecar_evaluator.options import Compilation, Options
from sidecar_evaluator.results.outcome import Score

__all__ = ["Loaded", "ModelEvaluator"]

_COPIES = 2  # of a checkpoint under evaluation: what was read, and the variables' values


class ModelEvaluator:
    """The model of an entry point and how to score it; stops between batches once `stop` is set.

    Without a model in `evaluation`, the first checkpoint that is read must bring it. `progress` is
    told how many batches of a dataset are done, and of how many where that is known.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        stop: threading.Event,
        options: Options | None = None,
        progress: Progress = lambda _done, _total: None,
    ) -> None:
        self._evaluation = evaluation
        self._datasets = named_datasets(evaluation.data)
        self._stop = stop
        self._options = options or Options()
        self._progress = progress
        self._loading = threading.Lock()
        self._scored: ModelScoring | None = None

    @property
    def examples(self) -> int:
        """Return how many examples were evaluated so far, without those of `model.evaluate`."""
        return self._scored.stepper.examples if self._scored else 0

    def prepare(self) -> None:
        """Check that the model can be scored and build it where the user has not.

        Raises ConfigurationError: the model is not compiled with metrics, or its data does not fit it.
        """
        for name, data in self._datasets.items():
            require_repeatable(name, data, self._evaluation.steps)
        if self._evaluation.model is not None:
            self._scored = self._prepared(self._evaluation.model)

    def read(self, checkpoint: Checkpoint) -> Weights:
        """Read a checkpoint into host memory; any thread may call it.

        Raises ConfigurationError: neither the entry point nor the checkpoint brings a model.
        See `read_checkpoint` for the others.
        """
        with self._loading:
            scored = self._scored = self._scored or self._prepared(_model_of(checkpoint))
        return read_checkpoint(checkpoint, scored.keras_model.model)

    def pass_size(self, waiting: int, weights_size: int) -> int:
        """Return how many of the waiting checkpoints, of so many bytes each, one pass should score."""
        most = min(waiting, self._options.checkpoints_per_pass)
        if most <= 1 or self._scored is None or not self._scored.gains_from_sharing:
            return 1
        free = memory.available()
        return most if free is None else max(1, min(most, free // 2 // max(weights_size * _COPIES, 1)))

    def score(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        """Score each checkpoint on each dataset, in one pass over each where that is possible.

        Raises Stopped: a stop was requested between two batches.
        """
        if self._scored is None:
            raise ConfigurationError("There is no model; return one in Evaluation(model, data).")
        return self._scored.score(loaded)

    def export(self, weights: Weights, path: Path) -> None:
        """Write the model with these weights to a file `NAME.weights.h5`.

        Raises CheckpointIncompatible: such a file would not hold all of them.
        """
        if weights.tf_variables:
            raise CheckpointIncompatible("A weights file has no place for the tf.Variables of its layers.")
        if self._scored is None:
            raise ConfigurationError("There is no model; return one in Evaluation(model, data).")
        self._scored.keras_model.assign(weights, None)
        self._scored.keras_model.model.save_weights(str(path))

    def _prepared(self, model: Any) -> "ModelScoring":
        require_compiled(model)
        keras_model = KerasModel(model)
        require_options_applied(keras_model, self._options)
        stepper = Stepper(keras_model, xla=self._options.compilation is Compilation.XLA)
        scored = ModelScoring(
            keras_model, self._datasets, self._evaluation, self._stop, self._options, self._progress, stepper
        )
        scored.prepare()
        return scored


def _model_of(checkpoint: Checkpoint) -> Any:
    """Build the model that the checkpoint itself holds."""
    model = checkpoint.format.model_in(checkpoint)
    if model is None:
        raise ConfigurationError(
            f"The entry point returns no model, and {checkpoint.name} is no Keras archive that holds one; "
            "return a model in Evaluation(model, data)."
        )
    return model
