"""The compiled loop around a step, and the one that runs several steps side by side.

`stepping` makes one `Loops` for each layout of data. Steps wait for each other only where they change
the same variables, such as the sums of metrics; one after the other they leave processors idle. So
quick steps are put into one body of the loop, which TensorFlow orders as if each came after the one
before: scores stay the same to the last bit. That costs tracing, and is done once it has paid off.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from sidecar_evaluator.engine.batch_layouts import Layout, Portion, examples_in

WIDTH = 4
_QUICK_SECONDS = 0.01  # of a step: longer ones use all processors by themselves, and their memory counts

Step = Callable[[Any], Any]
Ran = tuple[int, Mapping[str, Any]]


def worth_widening(tracing: float, ran: float, steps: int) -> bool:
    """Tell whether steps that ran so long are quick, and have cost as much as tracing the wide loop will."""
    return steps > 0 and ran / steps <= _QUICK_SECONDS and ran >= WIDTH * tracing


@dataclass
class Loops:
    """The loop over one layout; `wide` makes the one that runs `WIDTH` steps side by side, None where none may.

    `tracing` is how many seconds it took to trace the step.
    """

    narrow: Callable[..., Ran]
    wide: Callable[[], Callable[..., Ran]] | None = None
    tracing: float = 0.0
    _widened: Callable[..., Ran] | None = None
    _compiled: bool = False
    _ran: float = 0.0
    _steps: int = 0

    def run(self, portion: Portion) -> Ran:
        """Run the portion's steps; return how many examples they had, and what is needed of the last one's return."""
        wide = portion.count - portion.count % WIDTH if self._is_wide() else 0
        examples, last = self._call(self._widened, portion, 0, wide) if self._widened and wide else (0, {})
        if wide < portion.count:
            began = perf_counter()
            more, last = self._call(self.narrow, portion, wide, portion.count)
            examples += more
            self._learn(perf_counter() - began, portion.count - wide)
        return examples, last

    def _is_wide(self) -> bool:
        if self._widened is None and self.wide and worth_widening(self.tracing, self._ran, self._steps):
            self._widened = self.wide()
        return self._widened is not None

    def _call(self, loop: Callable[..., Ran], portion: Portion, first: int, end: int) -> Ran:
        examples, last = loop(portion.start + first, end - first, *portion.arguments)
        return int(examples), last

    def _learn(self, seconds: float, steps: int) -> None:
        """Take note of a call, but of the first: it compiles."""
        if self._compiled:
            self._ran, self._steps = self._ran + seconds, self._steps + steps
        self._compiled = True


def loop_around(step: Step, layout: Layout, carried: Mapping[str, Any], width: int = 1) -> Any:
    """Return the loop over strides of `width` steps; `carried` is what is needed of the last return, by example."""
    import tensorflow as tf

    shapes = tf.nest.map_structure(lambda tensor: tensor.shape, carried)

    def loop(start: Any, count: Any, *arguments: Any) -> Any:
        def body(index: Any, examples: Any, _: Any) -> Any:
            returned: Mapping[str, Any] = {}
            for ahead in range(width):
                batch = layout.batch(arguments, index + ahead)
                returned = step(batch)
                examples += examples_in(batch)
            return index + width, examples, {name: returned[name] for name in carried}

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
