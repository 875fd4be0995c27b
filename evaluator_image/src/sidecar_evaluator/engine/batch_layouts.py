"""Two layouts of batches in memory from which a compiled loop can take a batch by its index.

`WholeBatchLayout` has whole batches of any type in host memory: each is a `tf.experimental.Optional` in a vector,
so that nothing is copied. `RowLayout` has dense tensors with the rows of all batches, on the device if wanted, and
slices batches out of them. The feeds create them; the compiled loop calls `batch` while it is traced, with the
arguments of a `Portion`. Layouts contain no data themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

HOST = "CPU:0"


class Layout(Protocol):
    """How batches are stored; there is one compiled loop per layout."""

    element_spec: Any

    def signature(self) -> list[Any]:
        """Return the specs of the loop's arguments."""

    def batch(self, arguments: Sequence[Any], index: Any) -> Any:
        """Return the batch with the index, a scalar tensor, as the dataset yields it."""


@dataclass(frozen=True)
class Portion:
    """The batches from `start` to `start + count` in the arguments, which one call of the loop scores."""

    layout: Layout
    arguments: Sequence[Any]
    start: int
    count: int


class WholeBatchLayout:
    """Whole batches in host memory."""

    def __init__(self, element_spec: Any) -> None:
        self.element_spec = element_spec

    def signature(self) -> list[Any]:
        """Return the spec of the vector of Optionals."""
        import tensorflow as tf

        return [tf.TensorSpec([None], tf.variant)]

    def batch(self, arguments: Sequence[Any], index: Any) -> Any:
        """Return the value of an Optional, without a copy."""
        import tensorflow as tf

        (vector,) = arguments
        with tf.device(HOST):
            return optional_of(self.element_spec, vector[index]).get_value()


class RowLayout:
    """Dense tensors with the rows of all batches, and the bounds of each batch."""

    def __init__(self, element_spec: Any, device: str | None) -> None:
        self.element_spec = element_spec
        self._device = device

    def signature(self) -> list[Any]:
        """Return the specs of the tensors, and of the bounds of batches: int64 of shape [tensors, batches + 1]."""
        import tensorflow as tf

        tensors = [tf.TensorSpec([None, *spec.shape[1:]], spec.dtype) for spec in _tensor_specs(self.element_spec)]
        return [*tensors, tf.TensorSpec([len(tensors), None], tf.int64)]

    def batch(self, arguments: Sequence[Any], index: Any) -> Any:
        """Slice a batch out of each tensor."""
        import tensorflow as tf

        *tensors, bounds = arguments
        with tf.device(self._device):
            parts = [tensor[bounds[at, index] : bounds[at, index + 1]] for at, tensor in enumerate(tensors)]
        for part, spec in zip(parts, _tensor_specs(self.element_spec), strict=True):
            part.set_shape(spec.shape)
        return _packed(self.element_spec, parts)


def _packed(element_spec: Any, parts: Sequence[Any]) -> Any:
    """Combine the tensors of a batch; a component that is None in the spec is None."""
    import tensorflow as tf

    remaining = iter(parts)
    specs = tf.nest.flatten(element_spec)
    filled = [next(remaining) if isinstance(spec, tf.TensorSpec) else None for spec in specs]
    return tf.nest.pack_sequence_as(element_spec, filled)


def _tensor_specs(element_spec: Any) -> list[Any]:
    import tensorflow as tf

    return [spec for spec in tf.nest.flatten(element_spec) if isinstance(spec, tf.TensorSpec)]


def optional_of(element_spec: Any, variant: Any) -> Any:
    """Return the Optional of a variant tensor."""
    import tensorflow as tf

    return tf.nest.pack_sequence_as(tf.OptionalSpec(element_spec), [variant], expand_composites=True)


def variant_of(optional: Any) -> Any:
    """Return the variant tensor of an Optional."""
    import tensorflow as tf

    (variant,) = tf.nest.flatten(optional, expand_composites=True)
    return variant


def is_dense(element_spec: Any) -> bool:
    """Return whether batches consist of dense tensors whose rows can be concatenated."""
    import tensorflow as tf

    return all(
        isinstance(spec, tf.NoneTensorSpec)
        or (isinstance(spec, tf.TensorSpec) and spec.shape.rank is not None and spec.shape.rank >= 1)
        for spec in tf.nest.flatten(element_spec)
    )


def size_of(batch: Any) -> int:
    """Return the size of a batch in bytes."""
    import tensorflow as tf

    parts = (part for part in tf.nest.flatten(batch, expand_composites=True) if part is not None)
    return sum(int(tf.size(part)) * max(part.dtype.size, 1) for part in parts if part.dtype != tf.variant)


def examples_in(batch: Any) -> Any:
    """Return the number of examples in a batch: the first dimension of its first component."""
    import tensorflow as tf

    first = next((part for part in tf.nest.flatten(batch) if part is not None), None)
    if first is None:
        return tf.constant(0, tf.int64)
    if isinstance(first, tf.RaggedTensor):
        return first.nrows(tf.int64)
    if isinstance(first, tf.SparseTensor):
        return first.dense_shape[0]
    return tf.shape(first, tf.int64)[0] if first.shape.rank else tf.constant(1, tf.int64)
