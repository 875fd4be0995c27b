"""Scores a dataset in one pass, for one checkpoint like `model.evaluate`, or for several checkpoints together.

`engine.scoring` creates one `DatasetPass` per dataset. For one checkpoint, callbacks are called as Keras calls
them. For several, each batch is read once and run with every set of weights: all variables that the compiled
step reads or writes are exchanged between portions of the data, by reference, so that the checkpoints do not
affect each other. It must not read checkpoints.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sidecar_evaluator.engine.batch_layouts import Portion
from sidecar_evaluator.engine.feeds import Feed
from sidecar_evaluator.engine.keras_model import KerasModel, Logs
from sidecar_evaluator.engine.state import Values, VariableExchange
from sidecar_evaluator.engine.stepper import Stepper, StepsPerExecution
from sidecar_evaluator.errors import Stopped

Progress = Callable[[int, int | None], None]


@dataclass
class DatasetPass:
    """Passes over one dataset with one model; the duration of steps is learned across passes."""

    feed: Feed
    stepper: Stepper
    stop: threading.Event
    progress: Progress
    pace: StepsPerExecution = field(default_factory=StepsPerExecution)

    @property
    def model(self) -> KerasModel:
        """The model that is scored."""
        return self.stepper.model

    def build(self) -> None:
        """Create the variables of the model and its metrics, with as little computation as possible."""
        if not self.model.is_mirrored:
            self.stepper.trace(self.feed.element_spec)
            return
        for first in self.feed.portions(StepsPerExecution()):
            self.stepper.mirrored.build(first)
            return

    def score(self, callbacks: Sequence[Any]) -> Logs:
        """Score the model with its current weights; an empty dataset gives no scores.

        Raises Stopped: a stop was requested between two calls of the loop.
        """
        callback_list = self.model.callback_list(callbacks, self.feed.total)
        callback_list.on_test_begin()
        self.model.reset()
        done = 0
        for portion in self.feed.portions(self.pace):
            self._run(portion)
            done += portion.count
            self.progress(done, self.feed.total)
        logs = self.model.logs(self.stepper.last) if done else {}
        callback_list.on_test_end(logs)
        return logs

    def score_together(self, exchange: VariableExchange, values: list[Values]) -> list[Logs]:
        """Score each set of variable values, and replace it in `values` by the values after the pass.

        Raises Stopped: a stop was requested between two calls of the loop.
        """
        values[:] = [exchange.values_after(partial(exchange.write, start), self.model.reset) for start in values]
        last, done = [None] * len(values), 0
        for portion in self.feed.portions(self.pace):
            for index in range(len(values)):
                exchange.write(values[index])
                self._run(portion)
                values[index], last[index] = exchange.read(), self.stepper.last
            done += portion.count
            self.progress(done, self.feed.total)
        return [self._logs(exchange, *pair) if done else {} for pair in zip(values, last, strict=True)]

    def _logs(self, exchange: VariableExchange, values: Values, last: Any) -> Logs:
        exchange.write(values)
        return self.model.logs(last)

    def _run(self, portion: Portion) -> None:
        if self.stop.is_set():
            raise Stopped
        self.pace.begin()
        self.stepper.run(portion)
        self.pace.end(portion.count)
