"""The compiled loop: many steps of a model's own `test_step` in one call.

A `Stepper` serves one model; it traces `test_step` once for each kind of batch and one loop around it
for each layout, when they are first needed. Metrics collect in the model's own variables, as under
`model.evaluate`. It neither resets nor reads them; `passes` does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from sidecar_evaluator.engine.kerases import KerasModel
from sidecar_evaluator.engine.layouts import Layout, Portion, examples_in
from sidecar_evaluator.engine.mirroring import MirroredSteps
from sidecar_evaluator.errors import ConfigurationError, first_line

_TARGET_SECONDS = 0.4
_FIRST_STEPS = (1, 4)  # the first call compiles, the second is the first that tells how long a step takes
_GROWTH = 8
_MOST_STEPS = 4096


@dataclass
class Pace:
    """How many steps one call should run, so that a request to stop is soon seen."""

    clock: Callable[[], float] = perf_counter
    steps: int = _FIRST_STEPS[0]
    _measured: bool = False
    _began: float = 0.0

    def begin(self) -> None:
        """Say that a call begins."""
        self._began = self.clock()

    def end(self, steps: int) -> None:
        """Say that so many steps have been run."""
        if not self._measured:
            self._measured, self.steps = True, _FIRST_STEPS[1]
            return
        wanted = _TARGET_SECONDS * steps / max(self.clock() - self._began, 1e-6)
        self.steps = max(1, min(int(wanted), self.steps * _GROWTH, _MOST_STEPS))


@dataclass
class Stepper:
    """Runs portions of batches through one model; `xla` compiles even where the model does not ask for it."""

    model: KerasModel
    xla: bool = False
    examples: int = 0
    last: Any = None
    _step: Any = None
    _loops: dict[int, tuple[Layout, Any]] = field(default_factory=dict)
    _ran: bool = False

    def trace(self, element_spec: Any) -> Any:
        """Trace the model's step for such batches, which builds what is not built; return the concrete function."""
        import tensorflow as tf

        if self._step is None:
            self._step = tf.function(self.model.step(), jit_compile=self._jit or None)
        return self._step.get_concrete_function(element_spec)

    @property
    def mirrored(self) -> MirroredSteps:
        """The steps of a model on several devices."""
        return MirroredSteps(self.model, jit=self._jit)

    @property
    def _jit(self) -> bool:
        return self.xla or bool(self.model.model.jit_compile)

    def variables(self, element_spec: Any) -> list[Any]:
        """Return all variables that the step for such batches reads or writes, the model's weights first."""
        found = {id(variable): variable for variable in self.model.weights()}
        found |= {id(variable): variable for variable in self.trace(element_spec).graph.variables}
        return list(found.values())

    def run(self, portion: Portion) -> None:
        """Run the portion's steps and wait for them; `examples` and `last` tell what they were.

        Raises ConfigurationError: XLA was asked for and cannot compile the model.
        """
        loop = self._loop(portion.layout)
        try:
            examples, last = loop(portion.start, portion.count, *portion.arguments)
            self.examples += int(examples)
        except Exception as error:
            if self.xla and not self._ran:
                raise ConfigurationError(
                    f"XLA cannot compile the model's evaluation: {first_line(error)}; leave the compilation at Default."
                ) from error
            raise
        self._ran = True
        self.last = last or None
        wait_for_devices()

    def _loop(self, layout: Layout) -> Any:
        found = self._loops.get(id(layout))
        if found is None:
            found = self._loops[id(layout)] = (layout, self._compiled(layout))
        return found[1]

    def _compiled(self, layout: Layout) -> Any:
        if self.model.is_mirrored:
            return self.mirrored.loop(layout)
        concrete = self.trace(layout.element_spec)
        returned = concrete.structured_outputs
        if not isinstance(returned, dict):
            kind = type(returned).__name__
            raise ConfigurationError(f"The model's test_step returns a {kind}; let it return a dict of scores.")
        standard = set(returned) == self.model.metric_names()
        return _loop_around(self._step, layout, {} if standard else returned)


def _loop_around(step: Callable[[Any], Any], layout: Layout, carried: dict[str, Any]) -> Any:
    """Return the loop; `carried` is what of the last step's return is needed, by example."""
    import tensorflow as tf

    shapes = tf.nest.map_structure(lambda tensor: tensor.shape, carried)

    def loop(start: Any, count: Any, *arguments: Any) -> Any:
        def body(index: Any, examples: Any, _: Any) -> Any:
            batch = layout.batch(arguments, index)
            returned = step(batch)
            return index + 1, examples + examples_in(batch), {name: returned[name] for name in carried}

        zeros = tf.nest.map_structure(_zeros, carried)
        end = start + count
        first = (start, tf.constant(0, tf.int64), zeros)
        limits = (start.shape, tf.TensorShape([]), shapes)
        _, examples, last = tf.while_loop(
            lambda index, *_: index < end, body, first, shape_invariants=limits, parallel_iterations=1
        )
        return examples, last

    scalar = tf.TensorSpec([], tf.int32)
    return tf.function(loop, input_signature=[scalar, scalar, *layout.signature()], autograph=False)


def _zeros(tensor: Any) -> Any:
    import tensorflow as tf

    return tf.zeros([size or 0 for size in tensor.shape], tensor.dtype)


def wait_for_devices() -> None:
    """Wait until GPUs have done what was given to them, so that calls take the time that they take."""
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        tf.test.experimental.sync_devices()
