"""One line of an error that tells what happened, whatever a library put around it."""

import pytest

from sidecar_evaluator.errors import first_line

KERAS = """Exception encountered when calling Sequential.call().

\x1b[1mInput 0 of layer "dense" is incompatible with the layer: expected axis -1 to be 8, not 5\x1b[0m

Arguments received by Sequential.call():
  • inputs=tf.Tensor(shape=(32, 5), dtype=float32)"""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("wrong\nand more"), "ValueError: wrong"),
        (ValueError(""), "ValueError"),
        (ValueError("\n  late  \n"), "ValueError: late"),
        (ValueError("x" * 600), f"ValueError: {'x' * 488}"),
        (
            ValueError(KERAS),
            'ValueError: Input 0 of layer "dense" is incompatible with the layer: expected axis -1 to be 8, not 5',
        ),
        (ValueError("Exception encountered when calling it"), "ValueError: Exception encountered when calling it"),
    ],
)
def test_the_first_line_that_tells_something(error: Exception, expected: str) -> None:
    assert first_line(error) == expected
