"""Scores one model on its datasets, each by the compiled loop or by `model.evaluate`.

`evaluator` creates one `ModelScoring` for the model. The compiled loop is used if it gives the scores of
`model.evaluate`; otherwise `model.evaluate` is called, with a callback that stops it between two batches.
It must not read checkpoints: they are passed to it in host memory.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.engine.arrays import arrays_feed
from sidecar_evaluator.engine.dataset_pass import DatasetPass, Progress
from sidecar_evaluator.engine.datasets import arguments_of, batch_size, first_batch
from sidecar_evaluator.engine.feeds import Feed, feed_of
from sidecar_evaluator.engine.keras_model import KerasModel, flatten, no_metrics_error
from sidecar_evaluator.engine.state import InitialState, VariableExchange, keeps_state_in_variables
from sidecar_evaluator.engine.stepper import Stepper
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError, Stopped, first_line
from sidecar_evaluator.options import DataInMemory, Options
from sidecar_evaluator.results.outcome import Score

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in host memory.

    Callbacks with an attribute `evaluated_checkpoint` get `checkpoint`, and those with an attribute
    `evaluated_dataset` the name of the dataset.
    """

    checkpoint: Checkpoint
    weights: Weights

    @property
    def step(self) -> int | None:
        """The training's step, which is assigned to the optimizer's iterations during the evaluation."""
        return self.weights.step_of(self.checkpoint)


@dataclass
class ModelScoring:
    """A model and its datasets; `passes` has those that the compiled loop scores, None for the others."""

    keras_model: KerasModel
    datasets: dict[str, Any]
    evaluation: Evaluation
    stop: threading.Event
    options: Options
    progress: Progress
    stepper: Stepper
    passes: dict[str, DatasetPass | None] = field(default_factory=dict)
    _memory_is_short: bool = False

    @cached_property
    def callbacks(self) -> list[Any]:
        """The user's callbacks as callbacks of the model's Keras."""
        keras = self.keras_model.keras
        return [
            callback.callback_for(keras) if hasattr(callback, "callback_for") else callback
            for callback in self.evaluation.callbacks or ()
        ]

    @property
    def gains_from_sharing(self) -> bool:
        """Whether scoring several checkpoints in one pass is faster than scoring them one by one."""
        return self._can_share and not all(
            dataset_pass and dataset_pass.feed.in_memory for dataset_pass in self.passes.values()
        )

    @property
    def _can_share(self) -> bool:
        one_by_one = bool(self.callbacks) or self.keras_model.is_mirrored or self._memory_is_short
        return not one_by_one and all(self.passes.values()) and self._can_exchange_state

    @cached_property
    def _can_exchange_state(self) -> bool:
        """Whether steps keep all their state in variables; if a step cannot be traced, scoring raises the error."""
        try:
            return all(keeps_state_in_variables(self.stepper.trace(spec)) for spec in self._specs)
        except Exception:
            _log.debug("The step cannot be traced.", exc_info=True)
            return False

    @property
    def _specs(self) -> list[Any]:
        """The specs of batches of the datasets that the compiled loop scores."""
        if self.keras_model.is_mirrored:
            return []
        return [dataset_pass.feed.element_spec for dataset_pass in self.passes.values() if dataset_pass]

    @cached_property
    def _exchange(self) -> VariableExchange:
        return VariableExchange(self.stepper.variables(self._specs))

    @cached_property
    def _initial_state(self) -> InitialState:
        """The variables of the model besides weights and metrics, with their values before the first evaluation."""
        model = self.keras_model
        variables = self.stepper.variables(self._specs)
        if model.is_mirrored or not all(self.passes.values()):
            variables += model.layer_variables()
        assigned_or_reset = {id(variable) for variable in (*model.weights(), *model.metric_variables())}
        return InitialState(
            [variable for variable in variables if id(variable) not in assigned_or_reset], model.per_replica
        )

    def prepare(self) -> None:
        """Decide how each dataset is scored, and build the model."""
        reason = self._why_model_evaluate()
        for name, data in self.datasets.items():
            feed = None if reason else self._feed(name, data)
            self.passes[name] = DatasetPass(feed, self.stepper, self.stop, self.progress) if feed else None
            if not feed:
                self._report(name, reason or f"its data is a {type(data).__name__} without a supported feed")
        has_scores = self.keras_model.has_scores
        if not self.keras_model.model.built or self.keras_model.is_mirrored or not has_scores:
            self._build(has_scores=has_scores)

    def score(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        """Score each checkpoint on each dataset."""
        if len(loaded) > 1 and self._can_share:
            import tensorflow as tf

            try:
                return self._score_together(loaded)
            except tf.errors.ResourceExhaustedError as error:
                _log.warning("Checkpoints are scored one by one from now on: %s", first_line(error))
                self._memory_is_short = True
        return [self._score_one(checkpoint) for checkpoint in loaded]

    def _score_one(self, loaded: Loaded) -> tuple[Score, ...]:
        self._load(loaded)
        self._set_on_callbacks("evaluated_checkpoint", loaded.checkpoint)
        return tuple(Score(metric, value, name) for name in self.datasets for metric, value in self._scores_on(name))

    def _load(self, loaded: Loaded) -> None:
        """Restore the initial state and assign the checkpoint's weights, so that earlier evaluations have no effect."""
        self._initial_state.restore()
        self.keras_model.assign(loaded.weights, loaded.step)

    def _set_on_callbacks(self, attribute: str, value: Any) -> None:
        """Set an attribute of the callbacks that have it."""
        for callback in self.evaluation.callbacks or ():
            if hasattr(callback, attribute):
                setattr(callback, attribute, value)

    def _scores_on(self, name: str) -> list[tuple[str, float]]:
        self._set_on_callbacks("evaluated_dataset", name)
        dataset_pass = self.passes[name]
        return flatten(dataset_pass.score(self.callbacks) if dataset_pass else self._model_evaluate(name))

    def _score_together(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        values = [self._exchange.values_after(partial(self._load, checkpoint)) for checkpoint in loaded]
        scores: list[list[Score]] = [[] for _ in loaded]
        for name, dataset_pass in self.passes.items():
            logs_by_checkpoint = dataset_pass.score_together(self._exchange, values) if dataset_pass else []
            for checkpoint_scores, logs in zip(scores, logs_by_checkpoint, strict=True):
                checkpoint_scores += [Score(metric, value, name) for metric, value in flatten(logs)]
        return [tuple(checkpoint_scores) for checkpoint_scores in scores]

    def _model_evaluate(self, name: str) -> dict[str, Any]:
        steps = self.evaluation.steps
        stop_callback = _stop_callback(self.keras_model, self.stop, self.progress, steps)
        logs: dict[str, Any] = self.keras_model.model.evaluate(
            **arguments_of(self.datasets[name]),
            steps=steps,
            callbacks=[*self.callbacks, stop_callback],
            verbose=0,
            return_dict=True,
        )
        return logs

    def _why_model_evaluate(self) -> str:
        with_hooks = [callback for callback in self.callbacks if self.keras_model.has_batch_hooks(callback)]
        if with_hooks:
            return f"{type(with_hooks[0]).__name__} is called for every batch"
        return self.keras_model.why_model_evaluate()

    def _feed(self, name: str, data: Any) -> Feed | None:
        where, steps = self.options.data_in_memory, self.evaluation.steps
        feed = feed_of(name, data, steps, where, self.stop)
        return feed or arrays_feed(self.keras_model, arguments_of(data), steps, where)

    def _report(self, name: str, reason: str) -> None:
        """Log why `model.evaluate` is called.

        Raises ConfigurationError: Keras 3 would split batches across devices, which gives wrong scores for uneven ones.
        """
        if self.keras_model.is_mirrored and not self.keras_model.is_tf_keras:
            raise ConfigurationError(
                f"Dataset {name} cannot be evaluated on several devices, because {reason}; "
                "leave the distribution at None."
            )
        _log.debug("Dataset %s is evaluated by model.evaluate because %s.", name, reason)
        if self.options.data_in_memory is not DataInMemory.NONE:
            _log.warning("Dataset %s is not kept in memory: model.evaluate reads it, because %s.", name, reason)

    def _build(self, *, has_scores: bool) -> None:
        """Create the model's variables with as little computation as possible: trace a step, or evaluate one batch."""
        name, dataset_pass = next(iter(self.passes.items()))
        initial_state = InitialState(self.keras_model.layer_variables(), self.keras_model.per_replica)
        try:
            if dataset_pass:
                dataset_pass.build()
            else:
                self._evaluate_first_batch(name)
        except Exception as error:
            if not has_scores:
                raise no_metrics_error() from error
            raise ConfigurationError(
                f"The model cannot be evaluated on the data of dataset {name}: {first_line(error)}"
            ) from error
        initial_state.restore()
        if not self.keras_model.has_scores:
            raise no_metrics_error()

    def _evaluate_first_batch(self, name: str) -> None:
        """Evaluate the first batch, with the usual batch size; the first evaluation gets this batch as well."""
        first, self.datasets[name] = first_batch(self.datasets[name])
        size = batch_size(first, self.evaluation.steps)
        self.keras_model.model.evaluate(**arguments_of(first), **size, steps=1, verbose=0)


def _stop_callback(model: KerasModel, stop: threading.Event, progress: Progress, total: int | None) -> Any:
    """Return a callback of the model's Keras that stops an evaluation between two batches and reports progress."""

    class StopBetweenBatches(model.keras.callbacks.Callback):  # type: ignore[name-defined, misc]
        def on_test_batch_begin(self, batch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras's signature
            if stop.is_set():
                raise Stopped
            progress(batch, total)

    return StopBetweenBatches()
