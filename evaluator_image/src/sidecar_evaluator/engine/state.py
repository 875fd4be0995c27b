"""The state that a step reads and writes, and whether all of it is in variables.

Weights and metrics are variables, and so are most random states, the states of recurrent layers and the counters
of a `test_step`. `engine.scoring` restores the variables that are neither weights nor metrics before each
checkpoint, and exchanges all variables between checkpoints that share a pass. The state of Python functions and
mutable tables can be neither restored nor exchanged.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

_PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_TABLE_PREFIX = "LookupTable"
_READ_ONLY_TABLE_OPS = {"LookupTableFindV2", "LookupTableSizeV2", "LookupTableExportV2"}

Values = Sequence[Any]


class VariableExchange:
    """Reads and writes the values of all variables that steps use, by reference and without copies."""

    def __init__(self, variables: Sequence[Any]) -> None:
        import tensorflow as tf

        self._variables = variables
        specs = [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables]
        self.write = tf.function(self._write, input_signature=[specs], autograph=False)
        self.read = tf.function(self._read, input_signature=[], autograph=False)

    def values_after(self, *actions: Callable[[], None]) -> Values:
        """Run the actions, then return the values of the variables."""
        for action in actions:
            action()
        values: Values = self.read()
        return values

    def _write(self, values: Values) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value, read_value=False)

    def _read(self) -> Values:
        return [variable.read_value() for variable in self._variables]


class InitialState:
    """The current values of variables, to be restored; `per_replica` returns the components of a variable."""

    def __init__(self, variables: Iterable[Any], per_replica: Callable[[Any], Sequence[Any]]) -> None:
        self._values = [
            (component, component.read_value()) for variable in variables for component in per_replica(variable)
        ]

    def restore(self) -> None:
        """Assign the saved values to the variables."""
        for variable, value in self._values:
            variable.assign(value)


def keeps_state_in_variables(traced: Any) -> bool:
    """Return whether a traced step keeps all state that it changes in variables."""
    handles = {id(variable.handle) for variable in traced.graph.variables}
    resources = [tensor for tensor in traced.captured_inputs if _is_resource(tensor) and id(tensor) not in handles]
    return not has_external_state(traced) and all(map(_is_table, resources))


def has_external_state(traced: Any) -> bool:
    """Return whether a traced function calls Python functions, or does more with lookup tables than read them."""
    graph = traced.graph.as_graph_def()
    nodes = chain(graph.node, *(function.node_def for function in graph.library.function))
    ops = {node.op for node in nodes}
    table_ops = {op for op in ops if op.startswith(_TABLE_PREFIX)}
    return bool(ops & _PYTHON_OPS or table_ops - _READ_ONLY_TABLE_OPS)


def _is_resource(tensor: Any) -> bool:
    import tensorflow as tf

    return bool(tensor.dtype in (tf.resource, tf.variant))


def _is_table(handle: Any) -> bool:
    import tensorflow as tf

    try:
        tf.raw_ops.LookupTableSizeV2(table_handle=handle)
    except tf.errors.OpError:
        return False
    return True
