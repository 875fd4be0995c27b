"""Feeds a tf.data pipeline to the compiled loop in portions, read for each evaluation or cached in memory.

`engine.scoring` calls `feed_of` once per dataset. A `StreamFeed` iterates over the pipeline for each evaluation, an
`InMemoryFeed` has all batches in memory, and a `CachedFeed` is a stream in its first pass and in memory afterwards.
Arrays are fed by `engine.arrays`; other data that `model.evaluate` accepts must be left to `model.evaluate`.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from sidecar_evaluator.engine import memory
from sidecar_evaluator.engine.batch_layouts import (
    HOST,
    Layout,
    Portion,
    RowLayout,
    WholeBatchLayout,
    is_dense,
    optional_of,
    size_of,
)
from sidecar_evaluator.engine.prefetch_reader import GroupSize, PrefetchReader
from sidecar_evaluator.engine.stepper import StepsPerExecution, has_gpu
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.options import DataInMemory

_log = logging.getLogger(__name__)


class Feed(Protocol):
    """The batches of one dataset."""

    @property
    def element_spec(self) -> Any:
        """Return the spec of a batch."""

    @property
    def total(self) -> int | None:
        """Return the number of batches per evaluation, None if it is unknown."""

    @property
    def in_memory(self) -> bool:
        """Return whether another pass reads nothing."""

    def portions(self, pace: StepsPerExecution) -> Iterator[Portion]:
        """Yield all batches of one evaluation in order, at most `pace.value` at a time.

        Raises Stopped: a stop was requested while batches were read.
        """


class InMemoryFeed:
    """All batches of a dataset in memory; `arguments` contain `total` batches in the layout."""

    in_memory = True

    def __init__(self, layout: Layout, arguments: Sequence[Any], total: int) -> None:
        self.element_spec = layout.element_spec
        self.total: int | None = total
        self._layout = layout
        self._arguments = arguments

    def portions(self, pace: StepsPerExecution) -> Iterator[Portion]:
        """Yield ranges of batches; the data is in memory."""
        start, total = 0, self.total or 0
        while start < total:
            count = min(pace.value, total - start)
            yield Portion(self._layout, self._arguments, start, count)
            start += count


class StreamFeed:
    """A tf.data pipeline that is iterated for each evaluation, up to `steps` batches or to its end."""

    in_memory = False

    def __init__(self, dataset: Any, steps: int | None, stop: threading.Event) -> None:
        cardinality = int(dataset.cardinality())
        self.element_spec = dataset.element_spec
        self.total = steps or (cardinality if cardinality >= 0 else None)
        self._dataset = dataset
        self._steps = steps
        self._stop = stop
        self._size = GroupSize()
        self._layout = WholeBatchLayout(self.element_spec)

    def portions(self, pace: StepsPerExecution) -> Iterator[Portion]:
        """Read the batches of each call and yield them."""
        done = 0
        with PrefetchReader(self._dataset, self._steps, self._size, pace, self._stop).groups() as groups:
            for group in groups:
                yield Portion(self._layout, (_vector(group),), 0, len(group))
                done += len(group)
        if self._steps and done < self._steps:
            _log.warning("The data ends after %d batches, although steps is %d.", done, self._steps)


def _vector(variants: Sequence[Any]) -> Any:
    import tensorflow as tf

    with tf.device(HOST):
        return tf.stack(variants)


class CachedFeed:
    """A stream whose batches are cached in memory during the first complete pass."""

    def __init__(self, name: str, stream: StreamFeed, where: DataInMemory) -> None:
        self._name = name
        self._where = where
        self._feed: Feed = stream
        self._is_caching = True
        self.element_spec = stream.element_spec
        self.total = stream.total

    @property
    def in_memory(self) -> bool:
        """Return whether the batches are cached."""
        return self._feed.in_memory

    def portions(self, pace: StepsPerExecution) -> Iterator[Portion]:
        """Yield the cached batches; in the first pass yield the batches that are read, and cache them."""
        if self.in_memory or not self._is_caching:
            yield from self._feed.portions(pace)
            return
        cache: list[Any] = []
        for portion in self._feed.portions(pace):
            cache += self._batches_to_cache(portion, cache)
            yield portion
        if self._is_caching and cache:
            self._use(cache)

    def _batches_to_cache(self, portion: Portion, cache: list[Any]) -> list[Any]:
        """Return the batches of a portion if memory suffices for them and for the remaining ones, if known."""
        (vector,) = portion.arguments
        size = size_of(optional_of(self.element_spec, vector[0]).get_value())
        if not self._is_caching or not memory.fits(size * max((self.total or 0) - len(cache), portion.count)):
            self._stop_caching("memory is short", cache)
            return []
        return [vector[index] for index in range(portion.count)]

    def _stop_caching(self, reason: str, cache: list[Any]) -> None:
        if self._is_caching:
            _log.warning("Dataset %s is read again for each checkpoint: %s.", self._name, reason)
        self._is_caching = False
        cache.clear()

    def _use(self, cache: list[Any]) -> None:
        import tensorflow as tf

        try:
            self._feed = self._on_device(cache) if self._where is DataInMemory.DEVICE else self._on_host(cache)
        except (tf.errors.ResourceExhaustedError, tf.errors.InvalidArgumentError, tf.errors.InternalError) as error:
            self._stop_caching(f"it cannot be stored on the device ({type(error).__name__})", cache)
            return
        self.total = self._feed.total
        _log.info("Dataset %s is kept in memory from now on: %d batches.", self._name, self.total)

    def _on_host(self, cache: list[Any]) -> Feed:
        return InMemoryFeed(WholeBatchLayout(self.element_spec), (_vector(cache),), len(cache))

    def _on_device(self, cache: list[Any]) -> Feed:
        import tensorflow as tf

        batches = [tf.nest.flatten(optional_of(self.element_spec, variant).get_value()) for variant in cache]
        columns = [column for column in zip(*batches, strict=True) if column[0] is not None]
        with tf.device(device()):
            tensors = [tf.concat(column, 0) for column in columns]
        sizes = tf.constant([[0, *(int(part.shape[0]) for part in column)] for column in columns], tf.int64)
        return InMemoryFeed(RowLayout(self.element_spec, None), (*tensors, tf.cumsum(sizes, axis=1)), len(cache))


def device() -> str:
    """Return the device for tensors that are kept in device memory."""
    return "GPU:0" if has_gpu() else HOST


def feed_of(name: str, data: Any, steps: int | None, where: DataInMemory, stop: threading.Event) -> Feed | None:
    """Return the feed of a tf.data pipeline; None for other data.

    Raises ConfigurationError: the data cannot be kept where the options ask for.
    """
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        stream = StreamFeed(data, steps, stop)
        if where is DataInMemory.NONE:
            return stream
        if where is DataInMemory.DEVICE and not is_dense(data.element_spec):
            raise ConfigurationError(
                f"The batches of dataset {name} are not dense tensors; keep them in memory on the Host, not the Device."
            )
        return CachedFeed(name, stream, where)
    return None
