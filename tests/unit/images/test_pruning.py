from typing import Any

import pytest

from images.pruning import LARGE, outdated

LAYERS: list[dict[str, Any]] = [
    {"id": "base", "diff-size": LARGE},
    {"id": "old", "parent": "base", "diff-size": LARGE},
    {"id": "old-code", "parent": "old", "diff-size": 1},
    {"id": "new", "parent": "base", "diff-size": LARGE},
    {"id": "new-code", "parent": "new", "diff-size": 1},
    {"id": "stage", "parent": "base"},
]
NAMED = {"id": "named", "names": ["evaluator:dev"], "layer": "new-code"}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"layer": "old-code"}, ["it"]),
        ({"layer": "old"}, ["it"]),
        ({"layer": "new"}, []),
        ({"layer": "stage"}, []),
        ({"layer": "base"}, []),
        ({}, []),
        ({"layer": "old", "names": ["mine"]}, []),
    ],
)
def test_only_large_layers_of_no_named_image_go(image: dict[str, Any], expected: list[str]) -> None:
    assert outdated([NAMED, {"id": "it", **image}], LAYERS) == expected
