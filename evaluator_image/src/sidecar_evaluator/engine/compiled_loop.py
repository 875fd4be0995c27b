"""The compiled loop around a step, and an unrolled loop whose body runs several steps in parallel.

`engine.stepper` creates one `CompiledLoops` per layout. One step after the other leaves CPU cores idle, although
steps depend on each other only through the variables that they change, such as the sums of metrics. Therefore
short steps are unrolled into one loop body, in which TensorFlow's automatic control dependencies keep the order of
all reads and writes: the scores are bit-for-bit the same. Unrolling costs time to trace, so it is done only when
it pays off.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from sidecar_evaluator.engine.batch_layouts import Layout, Portion, examples_in

UNROLL = 4
_SHORT_STEP_SECONDS = 0.01  # longer steps use all cores by themselves, and take more memory

Step = Callable[[Any], Any]
LoopResult = tuple[int, Mapping[str, Any]]


def worth_unrolling(tracing: float, running: float, steps: int) -> bool:
    """Return whether steps are short, and have run for at least the time that tracing the unrolled loop takes.

    `tracing` is the time it took to trace one step, `running` that of `steps` steps so far, in seconds.
    """
    return steps > 0 and running / steps <= _SHORT_STEP_SECONDS and running >= UNROLL * tracing


@dataclass
class CompiledLoops:
    """The loops over one layout; `unroll` creates the unrolled loop, None if steps must not run in parallel.

    `tracing` is the time in seconds that it took to trace the step.
    """

    simple: Callable[..., LoopResult]
    unroll: Callable[[], Callable[..., LoopResult]] | None = None
    tracing: float = 0.0
    _unrolled: Callable[..., LoopResult] | None = None
    _is_compiled: bool = False
    _running: float = 0.0
    _steps: int = 0

    def run(self, portion: Portion) -> LoopResult:
        """Run the steps of a portion; return the number of examples, and the carried outputs of the last step."""
        unrolled = portion.count - portion.count % UNROLL if self._is_unrolled() else 0
        examples, last = self._call(self._unrolled, portion, 0, unrolled) if self._unrolled and unrolled else (0, {})
        if unrolled < portion.count:
            began = perf_counter()
            more, last = self._call(self.simple, portion, unrolled, portion.count)
            examples += more
            self._record(perf_counter() - began, portion.count - unrolled)
        return examples, last

    def _is_unrolled(self) -> bool:
        if self._unrolled is None and self.unroll and worth_unrolling(self.tracing, self._running, self._steps):
            self._unrolled = self.unroll()
        return self._unrolled is not None

    def _call(self, loop: Callable[..., LoopResult], portion: Portion, first: int, end: int) -> LoopResult:
        examples, last = loop(portion.start + first, end - first, *portion.arguments)
        return int(examples), last

    def _record(self, seconds: float, steps: int) -> None:
        """Record the duration of a call, except the first one, which compiles."""
        if self._is_compiled:
            self._running, self._steps = self._running + seconds, self._steps + steps
        self._is_compiled = True


def compile_loop(step: Step, layout: Layout, carried: Mapping[str, Any], unroll: int = 1) -> Any:
    """Return the loop with `unroll` steps per iteration; `carried` are the outputs to return of the last step."""
    import tensorflow as tf

    shapes = tf.nest.map_structure(lambda tensor: tensor.shape, carried)

    def loop(start: Any, count: Any, *arguments: Any) -> Any:
        def body(index: Any, examples: Any, _: Any) -> Any:
            returned: Mapping[str, Any] = {}
            for offset in range(unroll):
                batch = layout.batch(arguments, index + offset)
                returned = step(batch)
                examples += examples_in(batch)
            return index + unroll, examples, {name: returned[name] for name in carried}

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
