"""Trees of a model's weights, as a training saves them with Orbax."""

from typing import Any


def by_path(model: Any) -> dict[str, Any]:
    """Return a flat tree, by variable path."""
    return {getattr(variable, "path", variable.name): value for variable, value in _pairs(model)}


def nested(model: Any) -> dict[str, Any]:
    """Return a nested tree, by the parts of variable paths."""
    tree: dict[str, Any] = {}
    for variable, value in _pairs(model):
        *parents, last = getattr(variable, "path", variable.name).split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def _pairs(model: Any) -> Any:
    return zip(model.weights, model.get_weights(), strict=True)
