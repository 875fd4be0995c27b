"""Checks that the variables of a checkpoint match those of a model, for every format.

The formats call it before they return weights. A model that is restored only in part would give a plausible
but wrong score, so anything but an exact match of names and shapes is refused, and the message names the
first variables that differ. Values are cast only between floating-point types, or between integer types.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sidecar_evaluator.errors import CheckpointIncompatible

Shape = tuple[int | None, ...]  # None is any size: it is determined when the variable gets a value
_MAX_NAMES = 3
_FLOAT_KINDS = "fV"  # NumPy reports bfloat16 and the 8-bit floats as V


def require_compatible(shapes: Mapping[str, tuple[Shape, Shape | None]], excess: Sequence[str]) -> None:
    """Compare the shape of each variable in the model and in the checkpoint, None where the checkpoint lacks it.

    Raises CheckpointIncompatible: shapes differ, or the checkpoint has the variables `excess` that the model lacks.
    """
    differences = [_difference(name, *pair) for name, pair in shapes.items() if not is_compatible(*pair)]
    differences += [f"{name} is not in the model" for name in excess]
    if differences:
        more = f" and {len(differences) - _MAX_NAMES} more" if len(differences) > _MAX_NAMES else ""
        raise CheckpointIncompatible(
            "The checkpoint was saved from another architecture than the entry point's model: "
            f"{'; '.join(differences[:_MAX_NAMES])}{more}."
        )


def cast_to_variables(values: Iterable[Any], variables: Iterable[Any]) -> list[Any]:
    """Cast each value to the dtype of its variable: a model may be evaluated in another precision.

    Raises CheckpointIncompatible: only one of the two is a floating-point type.
    """
    return [_cast(value, variable) for value, variable in zip(values, variables, strict=True)]


def size_in_memory(variables: Iterable[Any]) -> int:
    """Return the size of the variables' values in bytes."""
    return sum(
        math.prod(size or 0 for size in variable.shape) * int(dtype_of(variable).itemsize) for variable in variables
    )


def variable_name(variable: Any) -> str:
    """Return the variable's path; tf_keras has only names, which several variables may share."""
    return str(getattr(variable, "path", None) or f"{variable.name}@{id(variable)}")


def _cast(value: Any, variable: Any) -> Any:
    import numpy as np

    variable_dtype, value_dtype = dtype_of(variable), dtype_of(value)
    if value_dtype == variable_dtype:
        return value
    if _is_float(value_dtype) != _is_float(variable_dtype):
        name = variable_name(variable).partition("@")[0]
        raise CheckpointIncompatible(f"{name} is {variable_dtype} in the model and {value_dtype} in the checkpoint.")
    return np.asarray(value).astype(variable_dtype)


def dtype_of(variable: Any) -> Any:
    """Return the NumPy dtype of an array, a tensor, or a variable of Keras 3 or tf_keras."""
    import numpy as np

    dtype = variable.dtype
    return np.dtype(getattr(dtype, "as_numpy_dtype", dtype))


def is_compatible(in_model: Shape, in_checkpoint: Shape | None) -> bool:
    """Return whether a variable of the model can have a value of this shape, None where there is none."""
    return (
        in_checkpoint is not None
        and len(in_model) == len(in_checkpoint)
        and all(model_size in (None, size) for model_size, size in zip(in_model, in_checkpoint, strict=True))
    )


def _is_float(dtype: Any) -> bool:
    return dtype.kind in _FLOAT_KINDS


def _difference(name: str, in_model: Shape, in_checkpoint: Shape | None) -> str:
    displayed_name = name.partition("@")[0]
    if in_checkpoint is None:
        return f"{displayed_name} is not in the checkpoint"
    return f"{displayed_name} is {list(in_model)} in the model and {list(in_checkpoint)} in the checkpoint"
