"""One model, scored on its datasets: the only place that calls Keras.

The loop restores a checkpoint into the model and asks for scores. Works for models of Keras 3 and
of tf_keras alike; both are imported only through the model that the user brings. How scores are
computed is `_scores_of` alone, so that a faster way can replace `model.evaluate` there.
"""

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.reading import read_whole
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError, Stopped, first_line
from sidecar_evaluator.options import Options
from sidecar_evaluator.outcome import DEFAULT_DATASET, Score


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in host memory and the training iterations to say it has.

    `checkpoint` is told to callbacks that ask for it.
    """

    weights: Weights
    step: int | None
    checkpoint: Checkpoint | None = None


class ModelEvaluation:
    """The model of an entry point and how to score it; stops between batches once `stop` is set."""

    def __init__(self, evaluation: Evaluation, stop: threading.Event, options: Options | None = None) -> None:
        self._options = options or Options()
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

    def read(self, checkpoint: Checkpoint) -> Weights:
        """Read a checkpoint into host memory; see `read_whole` for the errors. Any thread may call it."""
        return read_whole(checkpoint, self._model)

    def pass_size(self, waiting: int, weights_size: int) -> int:  # noqa: ARG002
        """Return how many of the waiting checkpoints, of so many bytes each, one pass should score."""
        return 1

    def score(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        """Score each checkpoint on each dataset.

        Raises Stopped: a stop was requested between two batches.
        """
        return [self._score_one(one) for one in loaded]

    def export(self, weights: Weights, path: Path) -> None:
        """Write the model with these weights to a file `NAME.weights.h5`."""
        self._assign(weights)
        self._model.save_weights(str(path))

    def _score_one(self, loaded: Loaded) -> tuple[Score, ...]:
        self._assign(loaded.weights)
        optimizer = getattr(self._model, "optimizer", None)
        if loaded.step is not None and optimizer is not None:
            optimizer.iterations.assign(loaded.step)
        return tuple(
            Score(metric, value, dataset)
            for dataset, data in self._datasets.items()
            for metric, value in _scores_of(self._model, data, self._steps, self._callbacks)
        )

    def _assign(self, weights: Weights) -> None:
        for variable, value in zip(self._model.weights, weights.values, strict=True):
            variable.assign(value)


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


def _stop_callback(model: Any, stop: threading.Event) -> Any:
    """Return a callback for the model's own Keras that stops an evaluation between two batches."""
    keras = sys.modules["tf_keras" if is_tf_keras(model) else "keras"]

    class StopBetweenBatches(keras.callbacks.Callback):  # type: ignore[name-defined, misc]
        def on_test_batch_begin(self, batch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras's signature
            if stop.is_set():
                raise Stopped

    return StopBetweenBatches()


def is_tf_keras(model: Any) -> bool:
    """Tell the two Kerases apart without importing either."""
    return any(base.__module__.startswith("tf_keras.") for base in type(model).__mro__)
