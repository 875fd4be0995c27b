"""Reads the variables of a model from a Keras weights file, a file of its own or a member of an archive.

The two Keras formats open the file and call `read_weights`, which must not change the model.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sidecar_evaluator.checkpoints.compatibility import Shape, cast_to_variables, require_compatible, variable_name
from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.checkpoints.keras.custom_layers import LoadedLayer, load_custom_layer
from sidecar_evaluator.checkpoints.keras.hdf5 import Arrays, Region
from sidecar_evaluator.checkpoints.keras.layout import Layout
from sidecar_evaluator.checkpoints.model_code import code_of_model
from sidecar_evaluator.checkpoints.model_variables import variables_to_restore

# The first belongs to the LossScaleOptimizer of mixed precision, whose own counter stays at 0 in Keras 3.
_ITERATIONS = ("optimizer/inner_optimizer/vars/0", "optimizer/vars/0")
SKIPPED_GROUPS = ("optimizer", "metrics", "_metrics", "_loss_tracker", "_compile_metrics", "seed_generator")
_IGNORED_NAMES = {*SKIPPED_GROUPS, "random_generator", "_random_generator"}  # also in nested models


def read_weights(region: Region, layout: Layout, model: Any) -> Weights:
    """Read a value for each variable of a model, and the iterations, from an open file.

    Raises CheckpointIncompatible: the file has the weights of another model.
    """
    with Arrays(region) as arrays:
        datasets = arrays.datasets(SKIPPED_GROUPS)
        variables = variables_to_restore(model)
        loaded = list(_load_custom_layers(arrays, datasets, layout, variables))
        values = {position: value for layer in loaded for position, value in layer.values.items()}
        _require_compatible(datasets, layout, variables, values)
        for name, position in layout.positions.items():
            values[position] = arrays.read(datasets[name])
        tf_variables = [(variable, arrays.read(datasets[name])) for name, variable in layout.tf_variables.items()]
        counts = (arrays.integer(name) for name in _ITERATIONS)
        iterations = next((count for count in counts if count is not None), None)
    ordered = cast_to_variables([values[position] for position in range(len(variables))], variables)
    return Weights(ordered, iterations, [*tf_variables, *(pair for layer in loaded for pair in layer.tf_variables)])


def _load_custom_layers(
    arrays: Arrays, datasets: Mapping[str, Any], layout: Layout, variables: Sequence[Any]
) -> Iterator[LoadedLayer]:
    read_directly = set(layout.positions.values())
    candidates = {position: variable for position, variable in enumerate(variables) if position not in read_directly}
    for custom_layer in layout.custom_layers:
        prefix = custom_layer.group + "/"
        store = {name.removeprefix(prefix): arrays.read(datasets[name]) for name in datasets if name.startswith(prefix)}
        with code_of_model():
            layer = load_custom_layer(custom_layer, store, candidates)
        yield layer


def _require_compatible(
    datasets: Mapping[str, Any], layout: Layout, variables: Sequence[Any], values: Mapping[int, Any]
) -> None:
    saved: dict[int, Shape] = {position: tuple(value.shape) for position, value in values.items()}
    for name, position in layout.positions.items():
        if name in datasets:
            saved[position] = tuple(datasets[name].shape)
    shapes = {
        variable_name(variable): (tuple(variable.shape), saved.get(position))
        for position, variable in enumerate(variables)
    }
    for name, variable in layout.tf_variables.items():
        shapes[name] = (tuple(variable.shape), tuple(datasets[name].shape) if name in datasets else None)
    custom_groups = (custom_layer.group for custom_layer in layout.custom_layers)
    prefixes = tuple(f"{group}/" for group in (*custom_groups, *layout.other_groups, *_optimizer_groups(datasets)))
    placed = {*layout.positions, *layout.tf_variables}
    excess = [name for name in datasets if name not in placed and not name.startswith(prefixes)]
    require_compatible(shapes, [name for name in excess if _IGNORED_NAMES.isdisjoint(name.split("/"))])


def _optimizer_groups(datasets: Mapping[str, Any]) -> Iterator[str]:
    """Yield the groups of optimizers, recognized by their content: the entry point may lack some of the training's."""
    for name, dataset in datasets.items():
        group, _, key = name.rpartition("/")
        if key == "0" and "opt" in group and dataset.shape == () and dataset.dtype.kind in "iu":  # the counter is first
            yield group
