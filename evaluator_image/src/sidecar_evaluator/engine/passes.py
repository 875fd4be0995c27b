"""One evaluation as `model.evaluate` makes it, and one pass over the data for several checkpoints.

`evaluation` calls these with a feed. For one checkpoint the callbacks are called as Keras calls them.
For several, each batch is read once and run through every set of weights: what the compiled step
reads or writes is exchanged between portions of the data, by reference, so that each checkpoint meets
the batches as if it were alone.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar_evaluator.engine.feeds import Feed
from sidecar_evaluator.engine.kerases import KerasModel, Logs
from sidecar_evaluator.engine.layouts import Portion
from sidecar_evaluator.engine.stepping import Pace, Stepper
from sidecar_evaluator.errors import Stopped

Progress = Callable[[int, int | None], None]


@dataclass
class DatasetPasses:
    """Goes over one dataset with one model; remembers how fast the steps are."""

    feed: Feed
    stepper: Stepper
    stop: threading.Event
    progress: Progress
    pace: Pace = field(default_factory=Pace)
    _state: "_State | None" = None

    @property
    def model(self) -> KerasModel:
        """The model that is scored."""
        return self.stepper.model

    def build(self) -> None:
        """Create what variables the model and its metrics lack, with as little work as possible."""
        if not self.model.is_mirrored:
            self.stepper.trace(self.feed.element_spec)
            return
        for first in self.feed.portions(Pace()):
            self.stepper.mirrored.build(first)
            return

    def score(self, callbacks: Sequence[Any]) -> Logs:
        """Score the model as it is; data without a batch gives no scores.

        Raises Stopped: a stop was requested between two calls.
        """
        told = self.model.callback_list(callbacks, self.feed.total)
        told.on_test_begin()
        self.model.model.reset_metrics()
        done = 0
        for portion in self.feed.portions(self.pace):
            self._run(portion)
            done += portion.count
            self.progress(done, self.feed.total)
        logs = self.model.logs(self.stepper.last) if done else {}
        told.on_test_end(logs)
        return logs

    def score_together(self, loads: Sequence[Callable[[], None]]) -> list[Logs]:
        """Score what each of the functions loads into the model.

        Raises Stopped: a stop was requested between two calls.
        """
        state = self._state = self._state or _State(self.stepper.variables(self.feed.element_spec))
        begun = [state.taken_after(load, self.model.model.reset_metrics) for load in loads]
        values, last, done = begun, [None] * len(loads), 0
        for portion in self.feed.portions(self.pace):
            for at in range(len(loads)):
                state.put(values[at])
                self._run(portion)
                values[at], last[at] = state.take(), self.stepper.last
            done += portion.count
            self.progress(done, self.feed.total)
        return [self._logs(state, *pair) if done else {} for pair in zip(values, last, strict=True)]

    def _logs(self, state: "_State", values: Sequence[Any], last: Any) -> Logs:
        state.put(values)
        return self.model.logs(last)

    def _run(self, portion: Portion) -> None:
        if self.stop.is_set():
            raise Stopped
        self.pace.begin()
        self.stepper.run(portion)
        self.pace.end(portion.count)


class _State:
    """All variables that a step reads or writes. Values are handed over by reference, never copied."""

    def __init__(self, variables: Sequence[Any]) -> None:
        import tensorflow as tf

        self._variables = variables
        specs = [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables]
        self.put = tf.function(self._put, input_signature=[specs], autograph=False)
        self.take = tf.function(self._take, input_signature=[], autograph=False)

    def taken_after(self, *effects: Callable[[], None]) -> Sequence[Any]:
        """Return the values that the variables have after some effects."""
        for effect in effects:
            effect()
        taken: Sequence[Any] = self.take()
        return taken

    def _put(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value, read_value=False)

    def _take(self) -> Sequence[Any]:
        return [variable.read_value() for variable in self._variables]
