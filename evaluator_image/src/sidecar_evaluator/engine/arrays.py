"""Feeds NumPy arrays and tensors to the compiled loop, which slices its batches out of them.

`engine.scoring` calls `arrays_feed`, which treats arrays as `model.evaluate` does: the same batch size of 32, or
the one that results from `steps`, the same dtypes and the same structure. Everything else (data frames, sparse
matrices, strings, lists of numbers) must be left to `model.evaluate`.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sidecar_evaluator.engine import memory
from sidecar_evaluator.engine.batch_layouts import HOST, Portion, RowLayout
from sidecar_evaluator.engine.datasets import batch_of
from sidecar_evaluator.engine.feeds import Feed, InMemoryFeed, device
from sidecar_evaluator.engine.keras_model import KerasModel
from sidecar_evaluator.engine.stepper import StepsPerExecution
from sidecar_evaluator.options import DataInMemory

_log = logging.getLogger(__name__)

_NUMERIC_KINDS = "fiub"
_MAX_ITEM_BYTES = 8  # of TensorFlow's numeric dtypes


@dataclass
class ArraysFeed:
    """Arrays that are converted to tensors when they are first needed.

    If the number of rows is a multiple of `batch`, the size of batches is part of the element spec.
    """

    structure: Any
    arrays: list[Any]
    dtypes: list[Any]
    batch: int
    on_device: bool
    _feed: InMemoryFeed | None = None

    in_memory = True

    @property
    def total(self) -> int | None:
        """Return the number of batches."""
        return math.ceil(self._examples / self.batch)

    @property
    def element_spec(self) -> Any:
        """Return the spec of a batch."""
        import tensorflow as tf

        size = self.batch if self._examples % self.batch == 0 else None
        shapes = [[size, *array.shape[1:]] for array in self.arrays]
        specs = [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, self.dtypes, strict=True)]
        return tf.nest.pack_sequence_as(self.structure, specs)

    @property
    def _examples(self) -> int:
        return int(self.arrays[0].shape[0])

    def portions(self, pace: StepsPerExecution) -> Iterator[Portion]:
        """Yield ranges of batches; the data is in memory."""
        self._feed = self._feed or self._to_tensors()
        yield from self._feed.portions(pace)

    def _to_tensors(self) -> InMemoryFeed:
        import tensorflow as tf

        with tf.device(device() if self.on_device else HOST):
            tensors = [_tensor(array, dtype) for array, dtype in zip(self.arrays, self.dtypes, strict=True)]
        bounds = [*range(0, self._examples, self.batch), self._examples]
        layout = RowLayout(self.element_spec, None if self.on_device else HOST)
        return InMemoryFeed(layout, (*tensors, tf.constant([bounds] * len(tensors), tf.int64)), len(bounds) - 1)


def _tensor(array: Any, dtype: Any) -> Any:
    """Return the array as a tensor on the device in scope; a tensor that is already there is not copied."""
    import tensorflow as tf

    if isinstance(array, tf.Tensor):
        return tf.identity(tf.cast(array, dtype))
    return tf.convert_to_tensor(array.astype(dtype.as_numpy_dtype, copy=False))


def arrays_feed(
    model: KerasModel, parts: dict[str, Any], steps: int | None, where: DataInMemory = DataInMemory.NONE
) -> Feed | None:
    """Return the feed of x, y and sample_weight; None if they are not supported arrays, or memory is short."""
    import tensorflow as tf

    structure = _packed(model, **parts)
    arrays = tf.nest.flatten(structure)
    if not _are_supported(arrays) or not _has_simple_weights(**parts):
        return None
    dtypes = [_dtype(model, array) for array in arrays]
    size = sum(math.prod(array.shape) * dtype.size for array, dtype in zip(arrays, dtypes, strict=True))
    if not memory.fits(size):
        _log.warning("The arrays are evaluated by model.evaluate: memory is short for a copy of %d MiB.", size >> 20)
        return None
    batch = batch_of(arrays[0].shape[0], steps)
    return ArraysFeed(structure, arrays, dtypes, batch, where is DataInMemory.DEVICE)


def _packed(model: KerasModel, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Combine the parts into the structure of a batch, as the model's Keras does."""
    import tensorflow as tf

    x, y, sample_weight = (_lists_to_tuples(part) for part in (x, y, sample_weight))
    if y is None:
        is_structure = tf.nest.is_nested(x) if model.is_tf_keras else isinstance(x, tuple)
        return (x,) if is_structure else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def _lists_to_tuples(part: Any) -> Any:
    if isinstance(part, (list, tuple)):
        return tuple(_lists_to_tuples(item) for item in part)
    return {name: _lists_to_tuples(item) for name, item in part.items()} if isinstance(part, dict) else part


def _are_supported(arrays: list[Any]) -> bool:
    """Return whether all are arrays or tensors of numbers with the same number of rows, which is not 0."""
    import numpy as np
    import tensorflow as tf

    for array in arrays:
        if not (type(array) is np.ndarray or isinstance(array, tf.Tensor)) or len(array.shape) == 0:
            return False
        dtype = np.dtype(getattr(array.dtype, "as_numpy_dtype", array.dtype))
        if dtype.kind not in _NUMERIC_KINDS or dtype.itemsize > _MAX_ITEM_BYTES:
            return False
    return len({int(array.shape[0]) for array in arrays}) == 1 and int(arrays[0].shape[0]) > 0


def _has_simple_weights(x: Any, y: Any = None, sample_weight: Any = None) -> bool:  # noqa: ARG001 - the parts' names
    """Return whether no weights are for several outputs: Keras 3 and tf_keras assign those by different rules."""
    return sample_weight is None or not isinstance(y, (list, tuple, dict))


def _dtype(model: KerasModel, array: Any) -> Any:
    """Return the dtype to which the model's Keras casts an array; tf_keras does not cast tensors."""
    import tensorflow as tf

    dtype = tf.as_dtype(array.dtype)
    if dtype.is_floating and not (model.is_tf_keras and isinstance(array, tf.Tensor)):
        return tf.as_dtype(model.keras.backend.floatx())
    return dtype
