"""Do a checkpoint's variables fit a model's? One question for every format, one answer to read.

A model that is restored in part gives a score that looks right and is wrong, so anything but an
exact fit is refused, naming the first variables that differ.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sidecar_evaluator.errors import CheckpointIncompatible

Shape = tuple[int | None, ...]  # None is any size: it is known once the variable has a value
_NAMED = 3
_FLOATS = "fV"  # NumPy knows bfloat16 and the 8 bit floats as V


def require_same(found: Mapping[str, tuple[Shape, Shape | None]], excess: Sequence[str]) -> None:
    """Compare each variable's shape in the model with that in the checkpoint, None where absent.

    Raises CheckpointIncompatible: they differ, or the checkpoint holds variables in excess.
    """
    problems = [_problem(name, *shapes) for name, shapes in found.items() if not _fits(*shapes)]
    problems += [f"{name} is not in the model" for name in excess]
    if problems:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise CheckpointIncompatible(
            "The checkpoint was saved from another architecture than the entry point's model: "
            f"{'; '.join(problems[:_NAMED])}{more}."
        )


def same_types(values: Iterable[Any], variables: Iterable[Any]) -> list[Any]:
    """Give each value the type of its variable: a model may be evaluated in another precision.

    Raises CheckpointIncompatible: one is a floating point number and the other is not.
    """
    return [_same_type(value, variable) for value, variable in zip(values, variables, strict=True)]


def size_in_memory(variables: Iterable[Any]) -> int:
    """Return the bytes that the values of variables take."""
    return sum(
        math.prod(size or 0 for size in variable.shape) * int(dtype_of(variable).itemsize) for variable in variables
    )


def name_of(variable: Any) -> str:
    """Return the variable's path; tf_keras knows only names, which several variables may share."""
    return str(getattr(variable, "path", None) or f"{variable.name}@{id(variable)}")


def _same_type(value: Any, variable: Any) -> Any:
    import numpy as np

    wanted, found = dtype_of(variable), dtype_of(value)
    if found == wanted:
        return value
    if _is_float(found) != _is_float(wanted):
        name = name_of(variable).partition("@")[0]
        raise CheckpointIncompatible(f"{name} is {wanted} in the model and {found} in the checkpoint.")
    return np.asarray(value).astype(wanted)


def dtype_of(variable: Any) -> Any:
    """Return the NumPy type of an array, a tensor, or a variable of either Keras."""
    import numpy as np

    dtype = variable.dtype
    return np.dtype(getattr(dtype, "as_numpy_dtype", dtype))


def _fits(in_model: Shape, in_checkpoint: Shape | None) -> bool:
    return (
        in_checkpoint is not None
        and len(in_model) == len(in_checkpoint)
        and all(wanted in (None, found) for wanted, found in zip(in_model, in_checkpoint, strict=True))
    )


def _is_float(dtype: Any) -> bool:
    return dtype.kind in _FLOATS


def _problem(name: str, in_model: Shape, in_checkpoint: Shape | None) -> str:
    shown = name.partition("@")[0]
    if in_checkpoint is None:
        return f"{shown} is not in the checkpoint"
    return f"{shown} is {list(in_model)} in the model and {list(in_checkpoint)} in the checkpoint"
