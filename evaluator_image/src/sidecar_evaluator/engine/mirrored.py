"""The compiled loop over several devices of one machine, for models built under a MirroredStrategy.

Each device takes whole batches of the user's own size, one after the other in turn, and so computes
for each batch what one device alone would: splitting a batch would change the loss of an uneven or
short one. Where fewer batches than devices are left, the idle ones repeat the last batch and forget
it. `stepping` calls this instead of its own loop.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sidecar_evaluator.engine.batch_layouts import Layout, Portion, examples_in
from sidecar_evaluator.engine.keras_model import KerasModel
from sidecar_evaluator.engine.state import calls_out
from sidecar_evaluator.errors import ConfigurationError


class MirroredSteps:
    """Runs one model's steps on all devices of its strategy."""

    def __init__(self, model: KerasModel, *, jit: bool) -> None:
        self._model = model
        self._jit = jit
        self._strategy = model.strategy
        self._devices = int(self._strategy.num_replicas_in_sync)

    def loop(self, layout: Layout) -> Callable[..., tuple[Any, dict[str, Any]]]:
        """Return a function of start, count and the layout's arguments that runs these batches."""
        compiled = self._compiled(layout)
        with self._strategy.scope():
            traced = (
                compiled.get_concrete_function()
            )  # creates the metrics' variables, which the first call needs already
        if calls_out(traced):
            raise ConfigurationError(
                "The model's test_step calls Python functions or changes tables, which cannot be told apart by device; "
                "leave the distribution at None."
            )

        def run(start: int, count: int, *arguments: Any) -> tuple[Any, dict[str, Any]]:
            idle = -count % self._devices
            whole = count if not idle else count - count % self._devices
            examples = 0
            with self._strategy.scope():
                if whole:
                    examples += int(compiled(start, whole, *arguments))
                if idle:
                    kept = self._states_of(self._devices - idle)
                    examples += int(compiled(start + whole, count - whole, *arguments))
                    for variable, value in kept:
                        variable.assign(value)
            return examples, {}

        return run

    def build(self, first: Portion) -> None:
        """Create the variables of the model and its metrics, which no device may do alone, by scoring a row on each."""
        import tensorflow as tf

        batch = first.layout.batch(first.arguments, tf.constant(first.start))
        each = tf.range(self._devices, dtype=tf.int64) % examples_in(batch)
        rows = tf.nest.map_structure(lambda part: tf.gather(part, each), batch)
        self._model.model.evaluate(tf.data.Dataset.from_tensors(rows), verbose=0)

    def _states_of(self, first: int) -> list[tuple[Any, Any]]:
        """Return the metrics' own variables on the devices from number `first` on, and their values."""
        found = []
        for variable in self._model.metric_variables():
            components = self._strategy.experimental_local_results(variable)
            if len(components) == self._devices:
                found += [(component, component.read_value()) for component in components[first:]]
        return found

    def _compiled(self, layout: Layout) -> Any:
        import tensorflow as tf

        step = self._step()

        def loop(start: Any, count: Any, *arguments: Any) -> Any:
            end = start + count

            def body(index: Any, examples: Any) -> Any:
                batches = [layout.batch(arguments, tf.minimum(index + at, end - 1)) for at in range(self._devices)]
                self._require_metrics(self._strategy.run(step, args=(batches,)))
                sizes = [examples_in(batch) for batch in batches]
                real = [tf.where(index + at < end, size, 0) for at, size in enumerate(sizes)]
                return index + self._devices, examples + tf.add_n(real)

            first = (start, tf.constant(0, tf.int64))
            return tf.while_loop(lambda index, _: index < end, body, first, parallel_iterations=1)[1]

        scalar = tf.TensorSpec([], tf.int32)
        return tf.function(loop, input_signature=[scalar, scalar, *layout.signature()], autograph=False)

    def _step(self) -> Callable[[Sequence[Any]], Any]:
        """Return what each device runs: it picks its own of the batches."""
        import tensorflow as tf

        own = self._model.step()
        step = tf.function(own, jit_compile=True) if self._jit else own

        def pick_and_run(batches: Sequence[Any]) -> Any:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return step(batches[int(tf.get_static_value(replica))])

        return pick_and_run

    def _require_metrics(self, returned: Any) -> None:
        if not isinstance(returned, dict) or set(returned) != self._model.metric_names():
            raise ConfigurationError(
                "The model's test_step returns more than its metrics, which several devices cannot add up; "
                "return self.get_metrics_result(), or leave the distribution at None."
            )
