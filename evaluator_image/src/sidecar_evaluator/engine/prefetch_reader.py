"""A tf.data pipeline read by a thread of its own while the compiled loop runs.

`StreamFeed.portions` is the only user. The thread reads the next batches into a small queue, ends when
nobody wants more, and lets go of the pipeline's iterator, which can take tens of milliseconds, where
no evaluation waits for it. It changes neither the order nor the content of what the pipeline yields.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sidecar_evaluator.engine.batch_layouts import size_of, variant_of
from sidecar_evaluator.engine.stepper import Pace
from sidecar_evaluator.errors import Stopped

_GROUP_BYTES = 8 << 20
_FIRST_GROUP = 16
_LARGEST_GROUP = 64
_FAREWELL = 0.5
_PATIENCE = 0.1  # seconds between two looks whether somebody still wants batches


@dataclass
class GroupSize:
    """How many batches are read for one call: few at first, so that computing begins early, and never many bytes."""

    largest: int | None = None

    def of(self, number: int, pace: Pace) -> int:
        """Return the size of group `number` of a pass."""
        return min(pace.steps, self.largest or 1, _FIRST_GROUP << min(number, 8))

    def learn(self, batch: Any) -> None:
        """Take the size of a batch as that of all."""
        self.largest = max(1, min(_LARGEST_GROUP, _GROUP_BYTES // max(size_of(batch), 1)))


@dataclass
class Reader:
    """Reads one pass over a dataset, at most `steps` batches of it."""

    dataset: Any
    steps: int | None
    size: GroupSize
    pace: Pace
    stop: threading.Event
    _unwanted: threading.Event = field(default_factory=threading.Event)
    _groups: "queue.Queue[list[Any] | BaseException]" = field(default_factory=lambda: queue.Queue(1))

    @contextmanager
    def reading(self) -> Iterator[Iterator[list[Any]]]:
        """Yield groups of batches, each batch as the variant of an Optional; the last group is empty or short.

        Raises Stopped: a stop was requested.
        """
        thread = threading.Thread(target=self._read, name="reading", daemon=True)
        thread.start()
        try:
            yield self._taken()
        finally:
            self._unwanted.set()
            if self.stop.is_set():  # the process is about to end, which a thread inside TensorFlow may spoil
                thread.join(_FAREWELL)

    def _taken(self) -> Iterator[list[Any]]:
        while True:
            if self.stop.is_set():
                raise Stopped
            try:
                group = self._groups.get(timeout=_PATIENCE)
            except queue.Empty:
                continue
            if isinstance(group, BaseException):
                raise group
            if not group:
                return
            yield group

    def _read(self) -> None:
        try:
            self._read_all(iter(self.dataset))
        except BaseException as error:
            self._put(error)

    def _read_all(self, iterator: Any) -> None:
        number, done = 0, 0
        while not self._unwanted.is_set():
            wanted = self.size.of(number, self.pace)
            group = self._group(iterator, wanted if self.steps is None else min(wanted, self.steps - done))
            self._put(group)
            number, done = number + 1, done + len(group)
            if not group:
                return

    def _group(self, iterator: Any, wanted: int) -> list[Any]:
        group: list[Any] = []
        while len(group) < wanted and not self._unwanted.is_set():
            optional = iterator.get_next_as_optional()
            if not optional.has_value():
                break
            if self.size.largest is None:
                self.size.learn(optional.get_value())
            group.append(variant_of(optional))
        return group

    def _put(self, group: list[Any] | BaseException) -> None:
        while not self._unwanted.is_set():
            try:
                self._groups.put(group, timeout=_PATIENCE)
            except queue.Full:
                continue
            return
