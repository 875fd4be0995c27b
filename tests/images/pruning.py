"""Keeps the builder's storage small: says which images hold a large layer that no named image is made of.

A change of the lock leaves the layer with the earlier TensorFlow behind. Small leftovers stay: among them is what
makes the next build fast.
"""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

LARGE = 200_000_000
"""Bytes from which on a layer is worth taking away."""


def outdated(images: list[Json], layers: list[Json]) -> list[str]:
    """Return the ids of the images to delete, from the storage's own lists of images and layers."""
    by_id = {layer["id"]: layer for layer in layers}
    kept = {layer for image in images if image.get("names") for layer in _chain(image, by_id)}
    return [
        image["id"]
        for image in images
        if any(_is_large(by_id[layer_id]) for layer_id in set(_chain(image, by_id)) - kept)
    ]


def _chain(image: Json, by_id: dict[str, Json]) -> Iterator[str]:
    layer = image.get("layer")
    while layer:
        yield layer
        layer = by_id[layer].get("parent")


def _is_large(layer: Json) -> bool:
    return bool(layer.get("diff-size", 0) >= LARGE)
