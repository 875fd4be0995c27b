"""What the user may return as data: one dataset or several by name, and in which form each is.

Rules about plain values; nothing is read here but the first batch of an iterator, which is put back.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.results.outcome import DEFAULT_DATASET

_NAME = re.compile(r"\w(?:[\w. -]{0,126}\w)?")
_BATCH = 32  # what both Kerases take where nobody says
_ENDLESS = -1  # tf.data.INFINITE_CARDINALITY


def arguments_of(data: Any) -> dict[str, Any]:
    """Name the parts of a tuple (x, y, sample_weight) of arrays as `model.evaluate` does."""
    if isinstance(data, tuple) and 2 <= len(data) <= 3:
        return dict(zip(("x", "y", "sample_weight"), data, strict=False))
    return {"x": data}


def named_datasets(data: Any) -> dict[str, Any]:
    """Tell datasets by name from a dict of one model's inputs: those are plain arrays.

    Raises ConfigurationError: a name will not do for a folder.
    """
    if isinstance(data, dict) and data and not any(_is_array(value) for value in data.values()):
        return {_name(key): value for key, value in data.items()}
    return {DEFAULT_DATASET: data}


def _name(key: Any) -> str:
    name = str(key)
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"A dataset is named {name!r}; folders and labels are named after it: use letters and digits, and within "
            "the name also - _ . and spaces."
        )
    return name


def _is_array(value: Any) -> bool:
    return isinstance(value, list) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def first_batch(data: Any) -> tuple[Any, Any]:
    """Return data that begins with the first batch of `data`, and data that is as if nothing had been read.

    Only an iterator yields two different ones, generators both: Keras takes no other iterators.
    """
    if not isinstance(data, Iterator):
        return data, data
    first = next(data)
    return (batch for batch in (first,)), (batch for batches in ((first,), data) for batch in batches)


def batch_size(data: Any, steps: int | None) -> dict[str, int]:
    """Return the argument that has Keras make batches of arrays as large as in an evaluation of so many steps."""
    arrays = data[0] if isinstance(data, tuple) else data
    while isinstance(arrays, (dict, list, tuple)) and arrays:
        arrays = next(iter(arrays.values() if isinstance(arrays, dict) else arrays))
    if not hasattr(arrays, "shape"):
        return {}  # brings batches of its own
    return {"batch_size": batch_of(arrays.shape[0], steps)}


def batch_of(rows: int, steps: int | None) -> int:
    """Return how many of the rows of arrays both Kerases put into a batch."""
    return math.ceil(rows / steps) if steps else _BATCH


def require_repeatable(name: str, data: Any, steps: int | None) -> None:
    """Check that every evaluation sees the same data, and an end of it.

    Raises ConfigurationError: it does not.
    """
    if steps is not None:
        return
    if isinstance(data, Iterator):
        raise ConfigurationError(
            f"The data of dataset {name} can be read only once; give a tf.data.Dataset, arrays or a "
            "Keras Sequence, or set steps for an endless generator."
        )
    cardinality = getattr(data, "cardinality", None)
    if callable(cardinality) and int(cardinality()) == _ENDLESS:
        raise ConfigurationError(f"The data of dataset {name} never ends; set steps to the batches of one evaluation.")
