"""One evaluation as `model.evaluate` makes it, and one pass over the data for several checkpoints.

`evaluation` calls these with a feed. For one checkpoint the callbacks are called as Keras calls them.
For several, each batch is read once and run through every set of weights: what the compiled step
reads or writes is exchanged between portions of the data, by reference, so that each checkpoint meets
the batches as if it were alone.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sidecar_evaluator.engine.batch_layouts import Portion
from sidecar_evaluator.engine.feeds import Feed
from sidecar_evaluator.engine.keras_model import KerasModel, Logs
from sidecar_evaluator.engine.state import Exchange, Values
from sidecar_evaluator.engine.stepper import Pace, Stepper
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
        self.model.reset()
        done = 0
        for portion in self.feed.portions(self.pace):
            self._run(portion)
            done += portion.count
            self.progress(done, self.feed.total)
        logs = self.model.logs(self.stepper.last) if done else {}
        told.on_test_end(logs)
        return logs

    def score_together(self, exchange: Exchange, values: list[Values]) -> list[Logs]:
        """Score what each of the values brings to the variables, and leave in `values` what they are afterwards.

        Raises Stopped: a stop was requested between two calls.
        """
        values[:] = [exchange.taken_after(partial(exchange.put, each), self.model.reset) for each in values]
        last, done = [None] * len(values), 0
        for portion in self.feed.portions(self.pace):
            for at in range(len(values)):
                exchange.put(values[at])
                self._run(portion)
                values[at], last[at] = exchange.take(), self.stepper.last
            done += portion.count
            self.progress(done, self.feed.total)
        return [self._logs(exchange, *pair) if done else {} for pair in zip(values, last, strict=True)]

    def _logs(self, exchange: Exchange, values: Values, last: Any) -> Logs:
        exchange.put(values)
        return self.model.logs(last)

    def _run(self, portion: Portion) -> None:
        if self.stop.is_set():
            raise Stopped
        self.pace.begin()
        self.stepper.run(portion)
        self.pace.end(portion.count)
