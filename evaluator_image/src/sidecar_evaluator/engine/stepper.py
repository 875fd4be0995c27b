"""The compiled loop: many steps of a model's own `test_step` in one call.

A `Stepper` serves one model; it traces `test_step` once for each kind of batch, and for each layout the
loops around it, when they are first needed. Metrics collect in the model's own variables, as under
`model.evaluate`. It neither resets nor reads them; `passes` does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

from sidecar_evaluator.engine.batch_layouts import Layout, Portion
from sidecar_evaluator.engine.compiled_loop import WIDTH, Loops, loop_around
from sidecar_evaluator.engine.keras_model import KerasModel
from sidecar_evaluator.engine.mirrored import MirroredSteps
from sidecar_evaluator.engine.state import is_in_variables
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
    _tracing: float = 0.0
    _loops: dict[int, tuple[Layout, Loops]] = field(default_factory=dict)
    _ran: bool = False

    def trace(self, element_spec: Any) -> Any:
        """Trace the model's step for such batches, which builds what is not built; return the concrete function."""
        import tensorflow as tf

        if self._step is None:
            self._step = tf.function(self.model.step(), jit_compile=self._jit or None)
        began = perf_counter()
        traced = self._step.get_concrete_function(element_spec)
        self._tracing = max(self._tracing, perf_counter() - began)
        return traced

    @property
    def mirrored(self) -> MirroredSteps:
        """The steps of a model on several devices."""
        return MirroredSteps(self.model, jit=self._jit)

    @property
    def _jit(self) -> bool:
        return self.xla or bool(self.model.model.jit_compile)

    def variables(self, element_specs: Iterable[Any]) -> list[Any]:
        """Return all variables that the steps for such batches read or write, the model's weights first."""
        found = {id(variable): variable for variable in self.model.weights()}
        for spec in element_specs:
            found |= {id(variable): variable for variable in self.trace(spec).graph.variables}
        return list(found.values())

    def run(self, portion: Portion) -> None:
        """Run the portion's steps and wait for them; `examples` and `last` tell what they were.

        Raises ConfigurationError: XLA was asked for and cannot compile the model.
        """
        loop = self._loop(portion.layout)
        try:
            examples, last = loop.run(portion)
            self.examples += examples
        except Exception as error:
            if self.xla and not self._ran:
                raise ConfigurationError(
                    f"XLA cannot compile the model's evaluation: {first_line(error)}; leave the compilation at Default."
                ) from error
            raise
        self._ran = True
        self.last = last or None
        wait_for_devices()

    def _loop(self, layout: Layout) -> Loops:
        found = self._loops.get(id(layout))
        if found is None:
            found = self._loops[id(layout)] = (layout, self._compiled(layout))
        return found[1]

    def _compiled(self, layout: Layout) -> Loops:
        if self.model.is_mirrored:
            return Loops(self.mirrored.loop(layout))
        concrete = self.trace(layout.element_spec)
        returned = concrete.structured_outputs
        if not isinstance(returned, dict):
            kind = type(returned).__name__
            raise ConfigurationError(f"The model's test_step returns a {kind}; let it return a dict of scores.")
        standard = set(returned) == self.model.metric_names()
        carried = {} if standard else returned
        wide = partial(loop_around, self.model.step(inline=True), layout, carried, WIDTH)
        # XLA compiles a step as one, a GPU takes what it is given one after the other, and TensorFlow cannot order
        # what Python functions do.
        alone = self._jit or has_gpu() or not is_in_variables(concrete)
        return Loops(loop_around(self._step, layout, carried), None if alone else wide, self._tracing)


def has_gpu() -> bool:
    """Tell whether TensorFlow computes on a GPU."""
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


def wait_for_devices() -> None:
    """Wait until GPUs have done what was given to them, so that calls take the time that they take."""
    import tensorflow as tf

    if has_gpu():
        tf.test.experimental.sync_devices()
