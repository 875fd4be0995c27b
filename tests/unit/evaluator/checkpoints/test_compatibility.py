"""Comparing the variables of a checkpoint with those of a model."""

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.compatibility import cast_to_variables, require_compatible
from sidecar_evaluator.errors import CheckpointIncompatible


class Variable:
    """What a format sees of a variable."""

    def __init__(self, dtype: str) -> None:
        self.name, self.path, self.dtype, self.shape = "kernel", "dense/kernel", dtype, (2,)


@pytest.mark.parametrize(("saved", "wanted"), [("float64", "float32"), ("float16", "float32"), ("int32", "int64")])
def test_values_take_the_precision_of_the_model(saved: str, wanted: str) -> None:
    (value,) = cast_to_variables([np.ones(2, saved)], [Variable(wanted)])
    assert value.dtype == wanted


@pytest.mark.parametrize(("saved", "wanted"), [("int8", "float32"), ("float32", "int64"), ("bool", "float32")])
def test_whole_numbers_are_no_floating_point_numbers(saved: str, wanted: str) -> None:
    with pytest.raises(CheckpointIncompatible, match=f"dense/kernel is {wanted} in the model and {saved} in"):
        cast_to_variables([np.ones(2, saved)], [Variable(wanted)])


def test_the_first_differences_are_named_and_the_others_counted() -> None:
    shapes = {f"layer_{number}@5": ((2,), None) for number in range(4)} | {"last": ((2,), (3,))}
    with pytest.raises(CheckpointIncompatible, match=r"layer_0 is not in the checkpoint; layer_1 .* and 3 more\.$"):
        require_compatible(shapes, ["extra"])
    require_compatible({"same": ((2,), (2,))}, [])
