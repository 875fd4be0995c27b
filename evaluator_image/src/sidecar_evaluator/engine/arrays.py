"""Arrays that the user has in memory, as tensors from which the compiled loop cuts its batches.

`arrays_feed` follows what `model.evaluate` does with NumPy arrays and tensors: the same batches of 32,
or as many as `steps` make of them, the same dtypes, the same structure. Anything that is not plainly
one of these (data frames, sparse matrices, strings, lists of numbers) is left to `model.evaluate`.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sidecar_evaluator.engine import memory
from sidecar_evaluator.engine.batch_layouts import HOST, Portion, RowsLayout
from sidecar_evaluator.engine.datasets import batch_of
from sidecar_evaluator.engine.feeds import Feed, RowsFeed, device
from sidecar_evaluator.engine.keras_model import KerasModel
from sidecar_evaluator.engine.stepper import Pace
from sidecar_evaluator.options import DataInMemory

_log = logging.getLogger(__name__)

_NUMBERS = "fiub"
_WIDEST = 8  # bytes: TensorFlow has no longer numbers


@dataclass
class ArraysFeed:
    """Arrays that become tensors when they are first needed; a multiple of `batch` rows makes batches' size known."""

    structure: Any
    arrays: list[Any]
    dtypes: list[Any]
    batch: int
    on_device: bool
    _rows: RowsFeed | None = None

    in_memory = True

    @property
    def total(self) -> int | None:
        """Return the number of batches."""
        return math.ceil(self._examples / self.batch)

    @property
    def element_spec(self) -> Any:
        """Return what batches are made of."""
        import tensorflow as tf

        size = self.batch if self._examples % self.batch == 0 else None
        shapes = [[size, *array.shape[1:]] for array in self.arrays]
        specs = [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, self.dtypes, strict=True)]
        return tf.nest.pack_sequence_as(self.structure, specs)

    @property
    def _examples(self) -> int:
        return int(self.arrays[0].shape[0])

    def portions(self, pace: Pace) -> Iterator[Portion]:
        """Yield numbers of batches."""
        self._rows = self._rows or self._as_tensors()
        yield from self._rows.portions(pace)

    def _as_tensors(self) -> RowsFeed:
        import tensorflow as tf

        place = device() if self.on_device else HOST
        with tf.device(place):
            tensors = [_tensor(array, dtype) for array, dtype in zip(self.arrays, self.dtypes, strict=True)]
        edges = [*range(0, self._examples, self.batch), self._examples]
        layout = RowsLayout(self.element_spec, None if self.on_device else HOST)
        return RowsFeed(layout, tensors, tf.constant([edges] * len(tensors), tf.int64))


def _tensor(array: Any, dtype: Any) -> Any:
    """Return the array as a tensor on the device in scope; a tensor that is there already is not copied."""
    import tensorflow as tf

    if isinstance(array, tf.Tensor):
        return tf.identity(tf.cast(array, dtype))
    return tf.convert_to_tensor(array.astype(dtype.as_numpy_dtype, copy=False))


def arrays_feed(
    model: KerasModel, parts: dict[str, Any], steps: int | None, where: DataInMemory = DataInMemory.NONE
) -> Feed | None:
    """Return the feed of x, y and sample_weight; None where they are not plain arrays, or memory is short."""
    import tensorflow as tf

    structure = _packed(model, **parts)
    arrays = tf.nest.flatten(structure)
    if not _are_plain(arrays) or not _are_simple_weights(**parts):
        return None
    dtypes = [_dtype(model, array) for array in arrays]
    size = sum(math.prod(array.shape) * dtype.size for array, dtype in zip(arrays, dtypes, strict=True))
    if not memory.fits(size):
        _log.warning("The arrays are left to model.evaluate: memory is short for a copy of %d MiB.", size >> 20)
        return None
    batch = batch_of(arrays[0].shape[0], steps)
    return ArraysFeed(structure, arrays, dtypes, batch, where is DataInMemory.DEVICE)


def _packed(model: KerasModel, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Put the parts together as the model's Keras does."""
    import tensorflow as tf

    x, y, sample_weight = (_tuples(part) for part in (x, y, sample_weight))
    if y is None:
        alone = tf.nest.is_nested(x) if model.is_tf_keras else isinstance(x, tuple)
        return (x,) if alone else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def _tuples(part: Any) -> Any:
    if isinstance(part, (list, tuple)):
        return tuple(_tuples(each) for each in part)
    return {name: _tuples(each) for name, each in part.items()} if isinstance(part, dict) else part


def _are_plain(arrays: list[Any]) -> bool:
    """Tell whether all are arrays or tensors of numbers with the same number of rows, one at least."""
    import numpy as np
    import tensorflow as tf

    for array in arrays:
        if not (type(array) is np.ndarray or isinstance(array, tf.Tensor)) or len(array.shape) == 0:
            return False
        dtype = np.dtype(getattr(array.dtype, "as_numpy_dtype", array.dtype))
        if dtype.kind not in _NUMBERS or dtype.itemsize > _WIDEST:
            return False
    return len({int(array.shape[0]) for array in arrays}) == 1 and int(arrays[0].shape[0]) > 0


def _are_simple_weights(x: Any, y: Any = None, sample_weight: Any = None) -> bool:  # noqa: ARG001 - the parts' names
    """The two Kerases spread weights over several outputs by rules of their own."""
    return sample_weight is None or not isinstance(y, (list, tuple, dict))


def _dtype(model: KerasModel, array: Any) -> Any:
    """Return the dtype that the model's Keras gives an array; tf_keras leaves tensors as they are."""
    import tensorflow as tf

    dtype = tf.as_dtype(array.dtype)
    if dtype.is_floating and not (model.is_tf_keras and isinstance(array, tf.Tensor)):
        return tf.as_dtype(model.keras.backend.floatx())
    return dtype
