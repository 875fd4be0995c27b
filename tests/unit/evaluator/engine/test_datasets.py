"""Several datasets: how they are told from a model's inputs, and which names they may have."""

from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.engine.datasets import named_datasets
from sidecar_evaluator.errors import ConfigurationError

ARRAY = np.zeros(3)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("data", ["default"]),
        ({"val": "data", "test set.2-a": "data", "übung": "data", 7: "data"}, ["val", "test set.2-a", "übung", "7"]),
        ({"val": (ARRAY, ARRAY)}, ["val"]),
        ({"input_1": ARRAY, "../odd": ARRAY}, ["default"]),
    ],
)
def test_datasets_have_names(data: Any, expected: list[str]) -> None:
    assert list(named_datasets(data)) == expected


@pytest.mark.parametrize("name", ["../../escape", "/absolute", "a/b", "", ".", "..", "a\0b", "a\nb", "x" * 129])
def test_a_name_that_will_not_do_for_a_folder_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="A dataset is named "):
        named_datasets({"val": "data", name: "data"})
