"""What the user may return as data: one dataset or several by name, and in which form each is.

Pure rules about plain values; nothing is read here.
"""

from collections.abc import Iterator
from typing import Any

from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.outcome import DEFAULT_DATASET

_ENDLESS = -1  # tf.data.INFINITE_CARDINALITY


def arguments_of(data: Any) -> dict[str, Any]:
    """Name the parts of a tuple (x, y, sample_weight) of arrays as `model.evaluate` does."""
    if isinstance(data, tuple) and 2 <= len(data) <= 3:
        return dict(zip(("x", "y", "sample_weight"), data, strict=False))
    return {"x": data}


def named_datasets(data: Any) -> dict[str, Any]:
    """Tell datasets by name from a dict of one model's inputs: those are plain arrays."""
    if isinstance(data, dict) and data and not any(_is_array(value) for value in data.values()):
        return {str(name): value for name, value in data.items()}
    return {DEFAULT_DATASET: data}


def _is_array(value: Any) -> bool:
    return isinstance(value, list) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def require_repeatable(name: str, data: Any, steps: int | None) -> None:
    """Check that every evaluation sees the same data, and an end of it.

    Raises ConfigurationError: it does not.
    """
    if steps is not None:
        return
    if isinstance(data, Iterator):
        raise ConfigurationError(
            f"The data of dataset {name} can be read only once; return a tf.data.Dataset, arrays or a "
            "Keras Sequence, or set steps for an endless generator."
        )
    cardinality = getattr(data, "cardinality", None)
    if callable(cardinality) and int(cardinality()) == _ENDLESS:
        raise ConfigurationError(f"The data of dataset {name} never ends; set steps to the batches of one evaluation.")
