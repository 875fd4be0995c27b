"""Rules for the data that an entry point returns: one dataset or several by name, and the form of each.

`evaluator` and `engine.scoring` use it. It must not read the data, except the first batch of an iterator, which
it puts back.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.results.outcome import DEFAULT_DATASET

_NAME = re.compile(r"\w(?:[\w. -]{0,126}\w)?")
_BATCH = 32  # the default batch size of Keras 3 and tf_keras
_INFINITE = -1  # tf.data.INFINITE_CARDINALITY


def arguments_of(data: Any) -> dict[str, Any]:
    """Return the keyword arguments of `model.evaluate` for data or a tuple (x, y, sample_weight) of arrays."""
    if isinstance(data, tuple) and 2 <= len(data) <= 3:
        return dict(zip(("x", "y", "sample_weight"), data, strict=False))
    return {"x": data}


def named_datasets(data: Any) -> dict[str, Any]:
    """Return the datasets by name; a dict of arrays is one dataset, the inputs of the model by name.

    Raises ConfigurationError: a name is not a valid directory name.
    """
    if isinstance(data, dict) and data and not any(_is_array(value) for value in data.values()):
        return {_name(key): value for key, value in data.items()}
    return {DEFAULT_DATASET: data}


def _name(key: Any) -> str:
    name = str(key)
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"A dataset is named {name!r}, which cannot be used as a directory name and label; use letters and digits, "
            "and within the name also - _ . and spaces."
        )
    return name


def _is_array(value: Any) -> bool:
    return isinstance(value, list) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def first_batch(data: Any) -> tuple[Any, Any]:
    """Return data that starts with the first batch of `data`, and data from which nothing has been read.

    The two differ only for an iterator, for which both are generators, the only iterators that Keras accepts.
    """
    if not isinstance(data, Iterator):
        return data, data
    first = next(data)
    return (batch for batch in (first,)), (batch for batches in ((first,), data) for batch in batches)


def batch_size(data: Any, steps: int | None) -> dict[str, int]:
    """Return the argument with which Keras uses the batch size of an evaluation with so many steps for arrays."""
    arrays = data[0] if isinstance(data, tuple) else data
    while isinstance(arrays, (dict, list, tuple)) and arrays:
        arrays = next(iter(arrays.values() if isinstance(arrays, dict) else arrays))
    if not hasattr(arrays, "shape"):
        return {}  # the data has batches already
    return {"batch_size": batch_of(arrays.shape[0], steps)}


def batch_of(rows: int, steps: int | None) -> int:
    """Return the batch size that Keras uses for arrays with so many rows."""
    return math.ceil(rows / steps) if steps else _BATCH


def require_repeatable(name: str, data: Any, steps: int | None) -> None:
    """Check that the data can be read again for every evaluation and is finite, unless `steps` is set.

    Raises ConfigurationError: it cannot, or it is infinite.
    """
    if steps is not None:
        return
    if isinstance(data, Iterator):
        raise ConfigurationError(
            f"The data of dataset {name} can be read only once; give a tf.data.Dataset, arrays or a "
            "Keras Sequence, or set steps for an endless generator."
        )
    cardinality = getattr(data, "cardinality", None)
    if callable(cardinality) and int(cardinality()) == _INFINITE:
        raise ConfigurationError(
            f"The data of dataset {name} is infinite; set steps to the number of batches per evaluation."
        )
