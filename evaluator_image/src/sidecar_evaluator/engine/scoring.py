"""One model and its datasets: which way of scoring is right for each, and the scores.

`evaluation` makes one of these for the model. Where the compiled loop gives the scores of
`model.evaluate` it is used; everywhere else `model.evaluate` itself is, with a callback that stops it
between two batches.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.engine.arrays import arrays_feed
from sidecar_evaluator.engine.dataset_pass import DatasetPasses, Progress
from sidecar_evaluator.engine.datasets import arguments_of, batch_size, first_batch
from sidecar_evaluator.engine.feeds import Feed, feed_of
from sidecar_evaluator.engine.keras_model import KerasModel, flatten, without_scores
from sidecar_evaluator.engine.state import Beginning, Exchange, is_in_variables
from sidecar_evaluator.engine.stepper import Stepper
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError, Stopped, first_line
from sidecar_evaluator.options import DataInMemory, Options
from sidecar_evaluator.results.outcome import Score

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in host memory.

    `checkpoint` is set on callbacks that have an attribute `evaluated_checkpoint`, as the dataset's name
    is on those that have `evaluated_dataset`.
    """

    checkpoint: Checkpoint
    weights: Weights

    @property
    def step(self) -> int | None:
        """The training's step, which the model's iterations show during the evaluation."""
        return self.weights.step_of(self.checkpoint)


@dataclass
class ModelScoring:
    """A model and its datasets, each with a feed for the engine or none."""

    keras_model: KerasModel
    datasets: dict[str, Any]
    evaluation: Evaluation
    stop: threading.Event
    options: Options
    progress: Progress
    stepper: Stepper
    passes: dict[str, DatasetPasses | None] = field(default_factory=dict)
    _memory_is_short: bool = False

    @cached_property
    def callbacks(self) -> list[Any]:
        """Return the user's callbacks as callbacks of the model's Keras."""
        keras = self.keras_model.keras
        given = self.evaluation.callbacks or ()
        return [each.callback_for(keras) if hasattr(each, "callback_for") else each for each in given]

    @property
    def gains_from_sharing(self) -> bool:
        """Tell whether several checkpoints in one pass are quicker than one after the other."""
        return self._can_share and not all(passes and passes.feed.in_memory for passes in self.passes.values())

    @property
    def _can_share(self) -> bool:
        alone = bool(self.callbacks) or self.keras_model.is_mirrored or self._memory_is_short
        return not alone and all(self.passes.values()) and self._is_in_variables

    @cached_property
    def _is_in_variables(self) -> bool:
        """Tell whether all that steps change can be exchanged; scoring will say why a step cannot be traced."""
        try:
            return all(is_in_variables(self.stepper.trace(spec)) for spec in self._specs)
        except Exception:
            _log.debug("The step cannot be traced.", exc_info=True)
            return False

    @property
    def _specs(self) -> list[Any]:
        """What batches are made of, for each dataset that the compiled loop scores."""
        return [] if self.keras_model.is_mirrored else [each.feed.element_spec for each in self.passes.values() if each]

    @cached_property
    def _exchange(self) -> Exchange:
        return Exchange(self.stepper.variables(self._specs))

    @cached_property
    def _beginning(self) -> Beginning:
        """What the model keeps besides weights and metrics, as it was before the first score."""
        model = self.keras_model
        found = self.stepper.variables(self._specs)
        if model.is_mirrored or not all(self.passes.values()):
            found += model.kept_by_layers()
        known = {id(variable) for variable in (*model.weights(), *model.metric_variables())}
        return Beginning([each for each in found if id(each) not in known], model.parts)

    def prepare(self) -> None:
        """Find each dataset's way, and build the model."""
        reason = self._why_evaluate()
        for name, data in self.datasets.items():
            feed = None if reason else self._feed(name, data)
            self.passes[name] = DatasetPasses(feed, self.stepper, self.stop, self.progress) if feed else None
            if not feed:
                self._explain(name, reason or f"its data is a {type(data).__name__} that is not plain arrays")
        scores_known = self.keras_model.has_scores
        if not self.keras_model.model.built or self.keras_model.is_mirrored or not scores_known:
            self._build(scores_known=scores_known)

    def score(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        """Score each checkpoint on each dataset."""
        if len(loaded) > 1 and self._can_share:
            import tensorflow as tf

            try:
                return self._score_together(loaded)
            except tf.errors.ResourceExhaustedError as error:
                _log.warning("Checkpoints are scored one by one from now on: %s", first_line(error))
                self._memory_is_short = True
        return [self._score_one(one) for one in loaded]

    def _score_one(self, loaded: Loaded) -> tuple[Score, ...]:
        self._load(loaded)
        self._tell("evaluated_checkpoint", loaded.checkpoint)
        return tuple(Score(metric, value, name) for name in self.datasets for metric, value in self._scores_on(name))

    def _load(self, loaded: Loaded) -> None:
        """Make the model the checkpoint's; whatever was scored before leaves no trace in it."""
        self._beginning.restore()
        self.keras_model.assign(loaded.weights, loaded.step)

    def _tell(self, attribute: str, value: Any) -> None:
        """Tell the callbacks that ask for it by having such an attribute."""
        for callback in self.evaluation.callbacks or ():
            if hasattr(callback, attribute):
                setattr(callback, attribute, value)

    def _scores_on(self, name: str) -> list[tuple[str, float]]:
        self._tell("evaluated_dataset", name)
        passes = self.passes[name]
        return flatten(passes.score(self.callbacks) if passes else self._evaluate(name))

    def _score_together(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        values = [self._exchange.taken_after(partial(self._load, one)) for one in loaded]
        scores: list[list[Score]] = [[] for _ in loaded]
        for name, passes in self.passes.items():
            together = passes.score_together(self._exchange, values) if passes else []
            for found, logs in zip(scores, together, strict=True):
                found += [Score(metric, value, name) for metric, value in flatten(logs)]
        return [tuple(found) for found in scores]

    def _evaluate(self, name: str) -> dict[str, Any]:
        steps = self.evaluation.steps
        watching = _batch_callback(self.keras_model, self.stop, self.progress, steps)
        found: dict[str, Any] = self.keras_model.model.evaluate(
            **arguments_of(self.datasets[name]),
            steps=steps,
            callbacks=[*self.callbacks, watching],
            verbose=0,
            return_dict=True,
        )
        return found

    def _why_evaluate(self) -> str:
        wanting = [callback for callback in self.callbacks if self.keras_model.wants_every_batch(callback)]
        if wanting:
            return f"{type(wanting[0]).__name__} is called for every batch"
        return self.keras_model.why_evaluate()

    def _feed(self, name: str, data: Any) -> Feed | None:
        where, steps = self.options.data_in_memory, self.evaluation.steps
        feed = feed_of(name, data, steps, where, self.stop)
        return feed or arrays_feed(self.keras_model, arguments_of(data), steps, where)

    def _explain(self, name: str, reason: str) -> None:
        """Say why `model.evaluate` is called.

        Raises ConfigurationError: Keras 3 splits batches over devices, and then scores uneven ones wrongly.
        """
        if self.keras_model.is_mirrored and not self.keras_model.is_tf_keras:
            raise ConfigurationError(
                f"Dataset {name} cannot be evaluated on several devices, because {reason}; "
                "leave the distribution at None."
            )
        _log.debug("Dataset %s is evaluated by model.evaluate because %s.", name, reason)
        if self.options.data_in_memory is not DataInMemory.NONE:
            _log.warning("Dataset %s is not kept in memory: model.evaluate reads it, because %s.", name, reason)

    def _build(self, *, scores_known: bool) -> None:
        """Create the model's variables with as little as possible: trace a step, or score one batch."""
        name, passes = next(iter(self.passes.items()))
        begun = Beginning(self.keras_model.kept_by_layers(), self.keras_model.parts)
        try:
            if passes:
                passes.build()
            else:
                self._evaluate_a_batch(name)
        except Exception as error:
            if not scores_known:
                raise without_scores() from error
            raise ConfigurationError(f"The model cannot be evaluated on its data: {first_line(error)}") from error
        begun.restore()
        if not self.keras_model.has_scores:
            raise without_scores()

    def _evaluate_a_batch(self, name: str) -> None:
        """Evaluate the first batch, of the size that the others have, and leave it to the first evaluation too."""
        first, self.datasets[name] = first_batch(self.datasets[name])
        size = batch_size(first, self.evaluation.steps)
        self.keras_model.model.evaluate(**arguments_of(first), **size, steps=1, verbose=0)


def _batch_callback(model: KerasModel, stop: threading.Event, progress: Progress, total: int | None) -> Any:
    """Return a callback for the model's own Keras that stops an evaluation between two batches."""

    class BetweenBatches(model.keras.callbacks.Callback):  # type: ignore[name-defined, misc]
        def on_test_batch_begin(self, batch: int, logs: object = None) -> None:  # noqa: ARG002 - Keras's signature
            if stop.is_set():
                raise Stopped
            progress(batch, total)

    return BetweenBatches()
