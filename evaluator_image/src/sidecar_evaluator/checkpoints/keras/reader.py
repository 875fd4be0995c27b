"""Reads a model's variables out of an HDF5 file as Keras writes them, wherever that file lies.

The formats of Keras open it and call `read_weights`; the model is only looked at.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sidecar_evaluator.checkpoints.compatibility import Shape, name_of, require_same, same_types
from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.checkpoints.keras.custom_layers import Loaded, load_own_way
from sidecar_evaluator.checkpoints.keras.hdf5 import Arrays, Region
from sidecar_evaluator.checkpoints.keras.layout import Layout
from sidecar_evaluator.checkpoints.model_variables import restored_variables

# The first belongs to mixed precision's LossScaleOptimizer, whose own counter stays at 0 in Keras 3.
_ITERATIONS = ("optimizer/inner_optimizer/vars/0", "optimizer/vars/0")
_NOT_THE_MODEL = ("optimizer", "metrics", "_metrics", "_loss_tracker", "_compile_metrics", "seed_generator")
_NO_WEIGHTS = {*_NOT_THE_MODEL, "random_generator", "_random_generator"}  # of the model, or of one within it


def read_weights(region: Region, layout: Layout, model: Any) -> Weights:
    """Read the arrays of a model from an open file.

    Raises CheckpointIncompatible: they are those of another model.
    """
    with Arrays(region) as arrays:
        datasets = arrays.below(_NOT_THE_MODEL)
        variables = restored_variables(model)
        loaded = list(_own_ways(arrays, datasets, layout, variables))
        values = {position: value for each in loaded for position, value in each.values.items()}
        _require_fit(datasets, layout, variables, values)
        for name, position in layout.positions.items():
            values[position] = arrays.read(datasets[name])
        found = (arrays.integer(name) for name in _ITERATIONS)
        iterations = next((count for count in found if count is not None), None)
    ordered = [values[position] for position in range(len(variables))]
    return Weights(same_types(ordered, variables), iterations, [pair for each in loaded for pair in each.others])


def _own_ways(arrays: Arrays, datasets: Mapping[str, Any], layout: Layout, restored: Sequence[Any]) -> Iterator[Loaded]:
    others = set(layout.positions.values())
    variables = {position: each for position, each in enumerate(restored) if position not in others}
    for own_way in layout.own_ways:
        start = own_way.group + "/"
        own = {name.removeprefix(start): each for name, each in datasets.items() if name.startswith(start)}
        yield load_own_way(own_way, {name: arrays.read(each) for name, each in own.items()}, variables)


def _require_fit(
    datasets: Mapping[str, Any], layout: Layout, variables: Sequence[Any], values: Mapping[int, Any]
) -> None:
    saved: dict[int, Shape] = {position: tuple(value.shape) for position, value in values.items()}
    for name, position in layout.positions.items():
        if name in datasets:
            saved[position] = tuple(datasets[name].shape)
    found = {name_of(each): (tuple(each.shape), saved.get(position)) for position, each in enumerate(variables)}
    groups = (*(own_way.group for own_way in layout.own_ways), *layout.beside, *_optimizers(datasets))
    starts = tuple(group + "/" for group in groups)
    excess = [name for name in datasets if name not in layout.positions and not name.startswith(starts)]
    require_same(found, [name for name in excess if _NO_WEIGHTS.isdisjoint(name.split("/"))])


def _optimizers(datasets: Mapping[str, Any]) -> Iterator[str]:
    """Yield the groups of optimizers by what they hold, since the training may have some that the entry point lacks."""
    for name, each in datasets.items():
        group, _, key = name.rpartition("/")
        if key == "0" and "opt" in group and each.shape == () and each.dtype.kind in "iu":  # its counter comes first
            yield group
