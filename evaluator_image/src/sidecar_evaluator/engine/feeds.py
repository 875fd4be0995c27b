"""The user's data as portions for the compiled loop, read once or kept between checkpoints.

`feed_of` is called once for each dataset. A `StreamFeed` goes through a tf.data pipeline anew for
each evaluation; a `RowsFeed` has tensors; a `KeptFeed` is a stream that is kept from its first pass
on. Whatever else `model.evaluate` takes has no feed and is left to `model.evaluate`.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from sidecar_evaluator.engine import memory
from sidecar_evaluator.engine.batch_layouts import (
    HOST,
    HeldLayout,
    Layout,
    Portion,
    RowsLayout,
    is_dense,
    optional_of,
    size_of,
)
from sidecar_evaluator.engine.prefetch_reader import GroupSize, Reader
from sidecar_evaluator.engine.stepper import Pace, has_gpu
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.options import DataInMemory

_log = logging.getLogger(__name__)


class Feed(Protocol):
    """One dataset as the engine reads it."""

    @property
    def element_spec(self) -> Any:
        """Return what its batches are made of."""

    @property
    def total(self) -> int | None:
        """Return the number of batches of one evaluation where that is known."""

    @property
    def in_memory(self) -> bool:
        """Tell whether another pass costs no reading."""

    def portions(self, pace: Pace) -> Iterator[Portion]:
        """Yield all batches of one evaluation in order, `pace.steps` at a time or fewer.

        Raises Stopped: a stop was requested while batches were read.
        """


class RowsFeed:
    """Dense tensors in memory, from which batches are cut; `bounds` are int64 of [tensors, batches + 1]."""

    in_memory = True

    def __init__(self, layout: Layout, tensors: Sequence[Any], bounds: Any) -> None:
        self.element_spec = layout.element_spec
        self.total: int | None = int(bounds.shape[1]) - 1
        self._layout = layout
        self._arguments = (*tensors, bounds)

    def portions(self, pace: Pace) -> Iterator[Portion]:
        """Yield numbers of batches; nothing is read."""
        return _counted(self._layout, self._arguments, self.total or 0, pace)


class HeldFeed:
    """All batches of a dataset in host memory; `vector` holds them as Optionals."""

    in_memory = True

    def __init__(self, layout: Layout, vector: Any) -> None:
        self.element_spec = layout.element_spec
        self.total: int | None = int(vector.shape[0])
        self._layout = layout
        self._vector = vector

    def portions(self, pace: Pace) -> Iterator[Portion]:
        """Yield numbers of batches; nothing is read."""
        return _counted(self._layout, (self._vector,), self.total or 0, pace)


def _counted(layout: Layout, arguments: Sequence[Any], total: int, pace: Pace) -> Iterator[Portion]:
    start = 0
    while start < total:
        count = min(pace.steps, total - start)
        yield Portion(layout, arguments, start, count)
        start += count


class StreamFeed:
    """A tf.data pipeline, read anew for each evaluation, `steps` batches of it or all."""

    in_memory = False

    def __init__(self, dataset: Any, steps: int | None, stop: threading.Event) -> None:
        cardinality = int(dataset.cardinality())
        self.element_spec = dataset.element_spec
        self.total = steps or (cardinality if cardinality >= 0 else None)
        self._dataset = dataset
        self._steps = steps
        self._stop = stop
        self._size = GroupSize()
        self._layout = HeldLayout(self.element_spec)

    def portions(self, pace: Pace) -> Iterator[Portion]:
        """Read as many batches as one call should run, and yield them."""
        done = 0
        with Reader(self._dataset, self._steps, self._size, pace, self._stop).reading() as groups:
            for group in groups:
                yield Portion(self._layout, (_vector(group),), 0, len(group))
                done += len(group)
        if self._steps and done < self._steps:
            _log.warning("The data ends after %d batches, although steps is %d.", done, self._steps)


def _vector(variants: Sequence[Any]) -> Any:
    import tensorflow as tf

    with tf.device(HOST):
        return tf.stack(variants)


class KeptFeed:
    """A stream whose batches stay in memory from the first whole pass on."""

    def __init__(self, name: str, stream: StreamFeed, where: DataInMemory) -> None:
        self._name = name
        self._where = where
        self._feed: Feed = stream
        self._wanted = True
        self.element_spec = stream.element_spec
        self.total = stream.total

    @property
    def in_memory(self) -> bool:
        """Tell whether the first pass is over."""
        return self._feed.in_memory

    def portions(self, pace: Pace) -> Iterator[Portion]:
        """Yield what is kept; in the first pass what is read, and keep it."""
        if self.in_memory or not self._wanted:
            yield from self._feed.portions(pace)
            return
        kept: list[Any] = []
        for portion in self._feed.portions(pace):
            kept += self._kept(portion, kept)
            yield portion
        if self._wanted and kept:
            self._keep(kept)

    def _kept(self, portion: Portion, kept: list[Any]) -> list[Any]:
        """Return the portion's batches where there is room for them and for the rest that is known of."""
        (vector,) = portion.arguments
        size = size_of(optional_of(self.element_spec, vector[0]).get_value())
        if not self._wanted or not memory.fits(size * max((self.total or 0) - len(kept), portion.count)):
            self._give_up("memory is short", kept)
            return []
        return [vector[at] for at in range(portion.count)]

    def _give_up(self, reason: str, kept: list[Any]) -> None:
        if self._wanted:
            _log.warning("Dataset %s is read again for each checkpoint: %s.", self._name, reason)
        self._wanted = False
        kept.clear()

    def _keep(self, kept: list[Any]) -> None:
        import tensorflow as tf

        try:
            self._feed = self._on_device(kept) if self._where is DataInMemory.DEVICE else self._on_host(kept)
        except (tf.errors.ResourceExhaustedError, tf.errors.InvalidArgumentError, tf.errors.InternalError) as error:
            self._give_up(f"it cannot be laid out on the device ({type(error).__name__})", kept)
            return
        self.total = self._feed.total
        _log.info("Dataset %s stays in memory from now on: %d batches.", self._name, self.total)

    def _on_host(self, kept: list[Any]) -> Feed:
        return HeldFeed(HeldLayout(self.element_spec), _vector(kept))

    def _on_device(self, kept: list[Any]) -> Feed:
        import tensorflow as tf

        batches = [tf.nest.flatten(optional_of(self.element_spec, variant).get_value()) for variant in kept]
        columns = [column for column in zip(*batches, strict=True) if column[0] is not None]
        with tf.device(device()):
            tensors = [tf.concat(column, 0) for column in columns]
        sizes = tf.constant([[0, *(int(part.shape[0]) for part in column)] for column in columns], tf.int64)
        return RowsFeed(RowsLayout(self.element_spec, None), tensors, tf.cumsum(sizes, axis=1))


def device() -> str:
    """Return where tensors belong that are to stay on the device."""
    return "GPU:0" if has_gpu() else HOST


def feed_of(name: str, data: Any, steps: int | None, where: DataInMemory, stop: threading.Event) -> Feed | None:
    """Return the feed of one dataset; None for what only `model.evaluate` can read.

    Raises ConfigurationError: the data is to be kept in memory and cannot be.
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
        return KeptFeed(name, stream, where)
    return None
