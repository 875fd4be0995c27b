"""One model, scored on its datasets: the only place that calls Keras.

The loop restores a checkpoint into the model and asks for scores. Works for models of Keras 3 and
of tf_keras alike; both are imported only through the model that the user brings. How scores are
computed is `_scores_of` alone, so that a faster way can replace `model.evaluate` there.
"""

import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.checkpoints.keras_weights import is_tf_keras
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import CheckpointGone, CheckpointUnreadable, ConfigurationError, Stopped, first_line
from sidecar_evaluator.outcome import DEFAULT_DATASET, Score


class ModelEvaluation:
    """The model of an entry point and how to score it; stops between batches once `stop` is set."""

    def __init__(self, evaluation: Evaluation, stop: threading.Event) -> None:
        self._model = evaluation.model
        self._datasets = _named_datasets(evaluation.data)
        self._steps = evaluation.steps
        self._callbacks = [*(evaluation.callbacks or ()), _stop_callback(self._model, stop)]

    def prepare(self) -> None:
        """Check that the model can be scored and build it where the user has not.

        Raises ConfigurationError: the model is not compiled with metrics, or its data does not fit it.
        """
        _require_compiled(self._model)
        for name, data in self._datasets.items():
            _require_repeatable(name, data, self._steps)
        if not self._model.built:
            _build(self._model, next(iter(self._datasets.values())))

    def restore(self, checkpoint: Checkpoint) -> int | None:
        """Load the checkpoint's weights into the model; return the training iterations.

        The files are compared before and after: what was written again or deleted while it was read
        is not used.
        """
        try:
            iterations = checkpoint.format.load(checkpoint, self._model)
        except CheckpointUnreadable:
            _require_unchanged(checkpoint)
            raise
        _require_unchanged(checkpoint)
        step = checkpoint.number if iterations is None else iterations
        optimizer = getattr(self._model, "optimizer", None)
        if step is not None and optimizer is not None:
            optimizer.iterations.assign(step)
        return step

    def score(self) -> tuple[Score, ...]:
        """Score the model on each dataset in turn.

        Raises Stopped: a stop was requested between two batches.
        """
        return tuple(
            Score(metric, value, dataset)
            for dataset, data in self._datasets.items()
            for metric, value in _scores_of(self._model, data, self._steps, self._callbacks)
        )


def _scores_of(model: Any, data: Any, steps: int | None, callbacks: list[Any]) -> Iterator[tuple[str, float]]:
    arguments = _arguments_of(data)
    returned = model.evaluate(**arguments, steps=steps, callbacks=callbacks, verbose=0, return_dict=True)
    yield from _flatten(returned)


def _flatten(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _flatten(value)
        else:
            yield str(name), float(value)


def _arguments_of(data: Any) -> dict[str, Any]:
    """Name the parts of a tuple (x, y, sample_weight) of arrays as `model.evaluate` does."""
    if isinstance(data, tuple) and 2 <= len(data) <= 3:
        return dict(zip(("x", "y", "sample_weight"), data, strict=False))
    return {"x": data}


def _named_datasets(data: Any) -> dict[str, Any]:
    """Tell datasets by name from a dict of one model's inputs: those are plain arrays."""
    if isinstance(data, dict) and data and not any(_is_array(value) for value in data.values()):
        return {str(name): value for name, value in data.items()}
    return {DEFAULT_DATASET: data}


def _is_array(value: Any) -> bool:
    return isinstance(value, list) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def _require_compiled(model: Any) -> None:
    if not callable(getattr(model, "evaluate", None)):
        raise ConfigurationError(
            f"The entry point's model is a {type(model).__name__}; return a Keras model in Evaluation(model, data)."
        )
    compiled = getattr(model, "compiled", getattr(model, "_is_compiled", False))
    if not compiled or not (model.loss or _has_metrics(model)):
        raise ConfigurationError(
            "The model has no metrics; call model.compile(loss=..., metrics=[...]) before it is returned."
        )


def _has_metrics(model: Any) -> bool:
    """Tell whether metrics were compiled, or the model brings its own."""
    compiled = getattr(model, "compiled_metrics", None) or getattr(model, "_compile_metrics", None)
    given = getattr(compiled, "_user_metrics", None) or getattr(compiled, "_metrics", None)
    own = [metric for metric in model.metrics if metric.name not in ("loss", "compile_metrics")]
    return bool(given or own or model.losses)


def _require_repeatable(name: str, data: Any, steps: int | None) -> None:
    if isinstance(data, Iterator) and steps is None:
        raise ConfigurationError(
            f"The data of dataset {name} can be read only once; return a tf.data.Dataset, arrays or a "
            "Keras Sequence, or set steps for an endless generator."
        )


def _build(model: Any, data: Any) -> None:
    """Score one batch, which makes Keras create the variables."""
    try:
        model.evaluate(**_arguments_of(data), steps=1, verbose=0)
    except Exception as error:
        raise ConfigurationError(f"The model cannot be evaluated on its data: {first_line(error)}") from error


def _require_unchanged(checkpoint: Checkpoint) -> None:
    try:
        unchanged = checkpoint.is_unchanged()
    except FileNotFoundError as error:
        raise CheckpointGone("It was deleted while it was read.") from error
    except OSError as error:
        raise CheckpointUnreadable(first_line(error)) from error
    if not unchanged:
        raise CheckpointUnreadable("It was written again while it was read.")


def _stop_callback(model: Any, stop: threading.Event) -> Any:
    """Return a callback for the model's own Keras that stops an evaluation between two batches."""
    keras = sys.modules["tf_keras" if is_tf_keras(model) else "keras"]

    class StopBetweenBatches(keras.callbacks.Callback):  # type: ignore[name-defined, misc]
        def on_test_batch_begin(self, batch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras's signature
            if stop.is_set():
                raise Stopped

    return StopBetweenBatches()
