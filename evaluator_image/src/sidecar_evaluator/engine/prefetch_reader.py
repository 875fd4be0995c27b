"""Reads a tf.data pipeline in a thread while the compiled loop runs.

Only `StreamFeed.portions` uses it. The thread reads the next batches into a small queue, and ends when the pass
is over or was left. It also deletes the pipeline's iterator, which can take tens of milliseconds, so that no
evaluation waits for that. Order and content of the batches must not change.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sidecar_evaluator.engine.batch_layouts import size_of, variant_of
from sidecar_evaluator.engine.stepper import StepsPerExecution
from sidecar_evaluator.errors import Stopped

_GROUP_BYTES = 8 << 20
_FIRST_GROUP = 16
_LARGEST_GROUP = 64
_JOIN_SECONDS = 0.5
_POLL_SECONDS = 0.1  # how often blocked queue operations check for a stop


@dataclass
class GroupSize:
    """How many batches are read per call: few at first, so that computation starts early, and limited in bytes."""

    largest: int | None = None

    def of(self, number: int, pace: StepsPerExecution) -> int:
        """Return the size of group `number` of a pass."""
        return min(pace.value, self.largest or 1, _FIRST_GROUP << min(number, 8))

    def limit_by(self, batch: Any) -> None:
        """Limit the size of groups, assuming that all batches are as large as this one."""
        self.largest = max(1, min(_LARGEST_GROUP, _GROUP_BYTES // max(size_of(batch), 1)))


@dataclass
class PrefetchReader:
    """Reads one pass over a dataset, at most `steps` batches."""

    dataset: Any
    steps: int | None
    size: GroupSize
    pace: StepsPerExecution
    stop: threading.Event
    _closed: threading.Event = field(default_factory=threading.Event)
    _queue: "queue.Queue[list[Any] | BaseException]" = field(default_factory=lambda: queue.Queue(1))

    @contextmanager
    def groups(self) -> Iterator[Iterator[list[Any]]]:
        """Yield an iterator over groups of batches, each batch as the variant tensor of an Optional.

        Raises Stopped: a stop was requested.
        """
        thread = threading.Thread(target=self._read, name="prefetch", daemon=True)
        thread.start()
        try:
            yield self._received()
        finally:
            self._closed.set()
            if self.stop.is_set():  # the process is about to exit, which may crash while a thread runs TensorFlow
                thread.join(_JOIN_SECONDS)

    def _received(self) -> Iterator[list[Any]]:
        while True:
            if self.stop.is_set():
                raise Stopped
            try:
                group = self._queue.get(timeout=_POLL_SECONDS)
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
        while not self._closed.is_set():
            size = self.size.of(number, self.pace)
            group = self._read_group(iterator, size if self.steps is None else min(size, self.steps - done))
            self._put(group)
            number, done = number + 1, done + len(group)
            if not group:
                return

    def _read_group(self, iterator: Any, size: int) -> list[Any]:
        group: list[Any] = []
        while len(group) < size and not self._closed.is_set():
            optional = iterator.get_next_as_optional()
            if not optional.has_value():
                break
            if self.size.largest is None:
                self.size.limit_by(optional.get_value())
            group.append(variant_of(optional))
        return group

    def _put(self, group: list[Any] | BaseException) -> None:
        while not self._closed.is_set():
            try:
                self._queue.put(group, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return
