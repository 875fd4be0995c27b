"""The compiled loop over several devices of one machine, for models built in the scope of a MirroredStrategy.

The devices take turns with whole batches of the user's batch size. So each batch gives the same result as on one
device, whereas splitting batches would change the loss of uneven or short ones. If fewer batches than devices are
left, the idle devices repeat the last batch, and their metrics are restored. `engine.stepper` uses this loop
instead of its own for such models.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sidecar_evaluator.engine.batch_layouts import Layout, Portion, examples_in
from sidecar_evaluator.engine.keras_model import KerasModel
from sidecar_evaluator.engine.state import has_external_state
from sidecar_evaluator.errors import ConfigurationError


class MirroredSteps:
    """Runs one model's steps on all devices of its strategy."""

    def __init__(self, model: KerasModel, *, jit: bool) -> None:
        self._model = model
        self._jit = jit
        self._strategy = model.strategy
        self._devices = int(self._strategy.num_replicas_in_sync)

    def loop(self, layout: Layout) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """Return a function that runs `count` batches from `start` on, in the layout's arguments."""
        compiled = self._compile(layout)
        with self._strategy.scope():
            # Tracing creates the variables of the metrics, which must exist before the first call.
            traced = compiled.get_concrete_function()
        if has_external_state(traced):
            raise ConfigurationError(
                "The model's test_step calls Python functions or changes tables, whose state is not per device; "
                "leave the distribution at None."
            )

        def run(start: int, count: int, *arguments: Any) -> tuple[Any, dict[str, Any]]:
            idle = -count % self._devices
            even = count if not idle else count - count % self._devices
            examples = 0
            with self._strategy.scope():
                if even:
                    examples += int(compiled(start, even, *arguments))
                if idle:
                    saved_states = self._metric_states(self._devices - idle)
                    examples += int(compiled(start + even, count - even, *arguments))
                    for variable, value in saved_states:
                        variable.assign(value)
            return examples, {}

        return run

    def build(self, first: Portion) -> None:
        """Create the variables of model and metrics by evaluating one row per device: all must create them together."""
        import tensorflow as tf

        batch = first.layout.batch(first.arguments, tf.constant(first.start))
        row_indices = tf.range(self._devices, dtype=tf.int64) % examples_in(batch)
        rows = tf.nest.map_structure(lambda part: tf.gather(part, row_indices), batch)
        self._model.model.evaluate(tf.data.Dataset.from_tensors(rows), verbose=0)

    def _metric_states(self, first: int) -> list[tuple[Any, Any]]:
        """Return the metrics' variables on the devices from index `first` on, with their values."""
        states = []
        for variable in self._model.metric_variables():
            components = self._model.per_replica(variable)
            if len(components) == self._devices:
                states += [(component, component.read_value()) for component in components[first:]]
        return states

    def _compile(self, layout: Layout) -> Any:
        import tensorflow as tf

        step = self._step()

        def loop(start: Any, count: Any, *arguments: Any) -> Any:
            end = start + count

            def body(index: Any, examples: Any) -> Any:
                indices = [index + device for device in range(self._devices)]
                batches = [layout.batch(arguments, tf.minimum(batch_index, end - 1)) for batch_index in indices]
                self._require_metrics(self._strategy.run(step, args=(batches,)))
                sizes = [examples_in(batch) for batch in batches]
                counted = [tf.where(index + device < end, size, 0) for device, size in enumerate(sizes)]
                return index + self._devices, examples + tf.add_n(counted)

            first = (start, tf.constant(0, tf.int64))
            return tf.while_loop(lambda index, _: index < end, body, first, parallel_iterations=1)[1]

        scalar = tf.TensorSpec([], tf.int32)
        return tf.function(loop, input_signature=[scalar, scalar, *layout.signature()], autograph=False)

    def _step(self) -> Callable[[Sequence[Any]], Any]:
        """Return the function that each device runs on its own batch."""
        import tensorflow as tf

        plain_step = self._model.step()
        step = tf.function(plain_step, jit_compile=True) if self._jit else plain_step

        def run_on_replica(batches: Sequence[Any]) -> Any:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return step(batches[int(tf.get_static_value(replica))])

        return run_on_replica

    def _require_metrics(self, returned: Any) -> None:
        if not isinstance(returned, dict) or set(returned) != self._model.metric_names():
            raise ConfigurationError(
                "The model's test_step returns more than its metrics, which cannot be combined across devices; "
                "return self.get_metrics_result(), or leave the distribution at None."
            )
