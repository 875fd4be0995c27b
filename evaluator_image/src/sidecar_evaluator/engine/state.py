"""What a step reads and writes besides its batch, and whether all of that is in variables.

Weights and metrics are variables, and so are most random states, the states of recurrent layers and
the counters of a `test_step`. `scoring` puts those that are neither weights nor metrics back before
each checkpoint, and exchanges all of them between checkpoints that share a pass. What Python functions
and mutable tables keep can be neither put back nor exchanged.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_TABLE = "LookupTable"
_READING = {"LookupTableFindV2", "LookupTableSizeV2", "LookupTableExportV2"}

Values = Sequence[Any]


class Exchange:
    """All variables that steps read or write. Values are handed over by reference, never copied."""

    def __init__(self, variables: Sequence[Any]) -> None:
        import tensorflow as tf

        self._variables = variables
        specs = [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables]
        self.put = tf.function(self._put, input_signature=[specs], autograph=False)
        self.take = tf.function(self._take, input_signature=[], autograph=False)

    def taken_after(self, *effects: Callable[[], None]) -> Values:
        """Return the values that the variables have after some effects."""
        for effect in effects:
            effect()
        taken: Values = self.take()
        return taken

    def _put(self, values: Values) -> None:
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value, read_value=False)

    def _take(self) -> Values:
        return [variable.read_value() for variable in self._variables]


class Beginning:
    """The values that variables have now, to be put back; `parts` are what a variable is on each device."""

    def __init__(self, variables: Iterable[Any], parts: Callable[[Any], Sequence[Any]]) -> None:
        self._values = [(part, part.read_value()) for variable in variables for part in parts(variable)]

    def restore(self) -> None:
        """Put the values back."""
        for variable, value in self._values:
            variable.assign(value)


def is_in_variables(traced: Any) -> bool:
    """Tell whether a traced step keeps all that it changes in variables."""
    handles = {id(variable.handle) for variable in traced.graph.variables}
    others = [each for each in traced.captured_inputs if _is_reference(each) and id(each) not in handles]
    return not calls_out(traced) and all(map(_is_table, others))


def calls_out(traced: Any) -> bool:
    """Tell whether what was traced calls Python functions, or does more to tables than look things up."""
    graph = traced.graph.as_graph_def()
    nodes = chain(graph.node, *(function.node_def for function in graph.library.function))
    operations = {node.op for node in nodes}
    return bool(operations & _PYTHON or {name for name in operations if name.startswith(_TABLE)} - _READING)


def _is_reference(tensor: Any) -> bool:
    import tensorflow as tf

    return bool(tensor.dtype in (tf.resource, tf.variant))


def _is_table(handle: Any) -> bool:
    import tensorflow as tf

    try:
        tf.raw_ops.LookupTableSizeV2(table_handle=handle)
    except tf.errors.OpError:
        return False
    return True
