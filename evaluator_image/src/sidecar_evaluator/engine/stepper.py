"""Runs many steps of a model's `test_step` in one call of a compiled loop.

`evaluator` creates one `Stepper` for the model, and `engine.dataset_pass` runs portions of data through it. It
traces `test_step` once per batch spec, and one loop per layout, when they are first needed. Metrics accumulate in
the model's variables, as under `model.evaluate`; the stepper must neither reset nor read them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

from sidecar_evaluator.engine.batch_layouts import Layout, Portion
from sidecar_evaluator.engine.compiled_loop import UNROLL, CompiledLoops, compile_loop
from sidecar_evaluator.engine.keras_model import KerasModel
from sidecar_evaluator.engine.mirrored import MirroredSteps
from sidecar_evaluator.engine.state import keeps_state_in_variables
from sidecar_evaluator.errors import ConfigurationError, first_line

_TARGET_SECONDS = 0.4
_FIRST_STEPS = (1, 4)  # the first call compiles; from the second on, calls are measured
_MAX_GROWTH = 8
_MAX_STEPS = 4096


@dataclass
class StepsPerExecution:
    """How many steps one call of the loop runs, adapted so that the call is short and a stop is noticed soon."""

    clock: Callable[[], float] = perf_counter
    value: int = _FIRST_STEPS[0]
    _is_compiled: bool = False
    _began: float = 0.0

    def begin(self) -> None:
        """Record that a call begins."""
        self._began = self.clock()

    def end(self, steps: int) -> None:
        """Record that the call has ended, after so many steps."""
        if not self._is_compiled:
            self._is_compiled, self.value = True, _FIRST_STEPS[1]
            return
        target = _TARGET_SECONDS * steps / max(self.clock() - self._began, 1e-6)
        self.value = max(1, min(int(target), self.value * _MAX_GROWTH, _MAX_STEPS))


@dataclass
class Stepper:
    """Runs portions of batches through one model; `xla` compiles by XLA even if the model's `jit_compile` is off."""

    model: KerasModel
    xla: bool = False
    examples: int = 0
    last: Any = None
    _step: Any = None
    _tracing: float = 0.0
    _loops: dict[int, tuple[Layout, CompiledLoops]] = field(default_factory=dict)
    _has_run: bool = False

    def trace(self, element_spec: Any) -> Any:
        """Trace the model's step for a batch spec, which also builds the model; return the concrete function."""
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
        """Return all variables that steps with these batch specs read or write, the model's weights first."""
        variables = {id(variable): variable for variable in self.model.weights()}
        for spec in element_specs:
            variables |= {id(variable): variable for variable in self.trace(spec).graph.variables}
        return list(variables.values())

    def run(self, portion: Portion) -> None:
        """Run the steps of a portion and wait for them; add to `examples`, and set `last` to the last outputs.

        Raises ConfigurationError: XLA was requested and cannot compile the model.
        """
        loops = self._loops_for(portion.layout)
        try:
            examples, last = loops.run(portion)
            self.examples += examples
        except Exception as error:
            if self.xla and not self._has_run:
                raise ConfigurationError(
                    f"XLA cannot compile the model's evaluation: {first_line(error)}; leave the compilation at Default."
                ) from error
            raise
        self._has_run = True
        self.last = last or None
        wait_for_devices()

    def _loops_for(self, layout: Layout) -> CompiledLoops:
        entry = self._loops.get(id(layout))
        if entry is None:
            entry = self._loops[id(layout)] = (layout, self._compile(layout))  # keeps the layout, so its id stays valid
        return entry[1]

    def _compile(self, layout: Layout) -> CompiledLoops:
        if self.model.is_mirrored:
            return CompiledLoops(self.mirrored.loop(layout))
        concrete = self.trace(layout.element_spec)
        outputs = concrete.structured_outputs
        if not isinstance(outputs, dict):
            kind = type(outputs).__name__
            raise ConfigurationError(f"The model's test_step returns a {kind}; it must return a dict of scores.")
        returns_metrics = set(outputs) == self.model.metric_names()
        carried = {} if returns_metrics else outputs
        unroll = partial(compile_loop, self.model.step(inline=True), layout, carried, UNROLL)
        # XLA compiles one step as a unit, a GPU runs its kernels one after the other, and TensorFlow cannot order the
        # effects of Python functions.
        must_not_unroll = self._jit or has_gpu() or not keeps_state_in_variables(concrete)
        simple = compile_loop(self._step, layout, carried)
        return CompiledLoops(simple, None if must_not_unroll else unroll, self._tracing)


def has_gpu() -> bool:
    """Return whether TensorFlow has a GPU."""
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


def wait_for_devices() -> None:
    """Wait until the GPUs have finished, so that the duration of a call includes their computation."""
    import tensorflow as tf

    if has_gpu():
        tf.test.experimental.sync_devices()
