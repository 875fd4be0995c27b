"""The line of a message that tells what happened; the messages are those of TensorFlow 2 and of both Kerases."""

import pytest

from sidecar_evaluator.causes import cause_in

_OF_GRAPH = """Graph execution error:

Detected at node loss/Sparse/Sparse defined at (most recent call last):
  File "/app/evaluate.py", line 26, in <module>

  File "/site-packages/keras/src/losses/losses.py", line 27, in call

{}
\t [[{{{{node loss/Sparse/Sparse}}}}]] [Op:__inference_loop_410]"""
_EAGER = "{{{{function_node __wrapped__Next_device_/job:localhost/replica:0/task:0/device:CPU:0}}}} {} [Op:Next] name: "
_OF_PYTHON = """ValueError: 7 is odd
and more
Traceback (most recent call last):

  File "/site-packages/tensorflow/python/ops/script_ops.py", line 269, in __call__
    ret = func(*args)
          ^^^^^^^^^^^

ValueError: 7 is odd
and more

"""
_LABEL = "Received a label value of 12 which is outside the valid range of [0, 10)."
_SEVERAL = """Graph execution error:

Detected at node GatherV2 defined at (most recent call last):
<stack traces unavailable>
Detected at node GatherV2_1 defined at (most recent call last):
<stack traces unavailable>
2 root error(s) found.
  (0) CANCELLED:  Function was cancelled before it was started
\t [[{{node GatherV2}}]]
  (1) INVALID_ARGUMENT:  indices[0,0] = 7 is not in [0, 5)
\t [[{{node GatherV2_1}}]]
\t [[cond/_2]]
0 successful operations.
0 derived errors ignored. [Op:__inference_f_23]"""
_OF_MEMORY = """OOM when allocating tensor with shape[9] and type float on /job:localhost/replica:0/task:0/device:GPU:0
\t [[{{node sequential_16_1/big_1/zeros}}]]
Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom.
"""
_OF_XLA = """Detected unsupported operations when trying to compile graph __inference_one_step_6022[] on XLA: AsString \
(No registered 'AsString' OpKernel for XLA devices compatible with node {{node s_1/AsString}}){{node s_1/AsString}}
The op is created at:
File "app/evaluate.py", line 97, in <module>"""
_SHAPES = (
    "Dimensions must be equal, but are 4 and 3 for '{{node t/MatMul}} = MatMul[T=DT_FLOAT, transpose_a=false](t/x, "
    "t/zeros)' with input shapes: [?,4], [3,3]."
)
_AUTOGRAPH = """in user code:

    File "/app/evaluate.py", line 88, in step  *
        returned = self.model.test_step(data)
    File "/site-packages/tf_keras/src/utils/traceback_utils.py", line 70, in error_handler  **
        raise e.with_traceback(filtered_tb) from None

    ValueError: Exception encountered when calling layer "t" (type T).

    in user code:

        File "/app/evaluate.py", line 100, in call  *
            return tf.matmul(x, tf.zeros((3, 3)))

        ValueError: {}


    Call arguments received by layer "t" (type T):
      • x=tf.Tensor(shape=(None, 4), dtype=float32)
"""
_OF_KERAS = """Exception encountered when calling T.call().

\x1b[1mCould not automatically infer the output shape / dtype of 't' (of type T). Error encountered:

it is no layer\x1b[0m

Arguments received by T.call():
  • args=()"""


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (_OF_GRAPH.format(f"{_LABEL}  Label values: 0 0 12 0"), f"E: {_LABEL}"),
        (_EAGER.format(f"{_LABEL}  Label values: 0 0 12 0"), f"E: {_LABEL}"),
        (_SEVERAL, "E: indices[0,0] = 7 is not in [0, 5)"),
        (_OF_GRAPH.format(_OF_PYTHON), "ValueError: 7 is odd"),
        (_EAGER.format(_OF_PYTHON), "ValueError: 7 is odd"),
        (_OF_GRAPH.format(_OF_MEMORY), "E: OOM when allocating tensor with shape[9] and type float on GPU:0"),
        (
            _OF_GRAPH.format(_OF_XLA),
            "E: Detected unsupported operations when trying to compile graph one_step on XLA: AsString "
            "(No registered 'AsString' OpKernel for XLA devices)",
        ),
        (
            _OF_GRAPH.format(
                "assertion failed: [too large] [x (data:0) = ] [[7 7 7...]...] [y (chk_1/Const:0) = ] [5]"
            ),
            "E: assertion failed: [too large] [x = ] [[7 7 7...]...] [y = ] [5]",
        ),
        (
            _EAGER.format(
                "Error in user-defined function passed to MapDataset:32 transformation with iterator: "
                "Iterator::Root::ParallelMapV2: Could not parse example input, value: 'abc'\n\t [[{{node Parse}}]]"
            ),
            "E: Could not parse example input, value: 'abc'",
        ),
        (
            _AUTOGRAPH.format(_SHAPES),
            "E: Dimensions must be equal, but are 4 and 3 for MatMul with input shapes: [?,4], [3,3].",
        ),
        (_OF_KERAS, "E: it is no layer"),
    ],
)
def test_the_cause_alone(message: str, cause: str) -> None:
    assert cause_in("E", message) == cause


@pytest.mark.parametrize(
    "message",
    [
        "in user code:",
        "Graph execution error:",
        "2 root error(s) found.",
        "Exception encountered when calling it",
        "a [[list]] of {braces} (and:0)",
        "ValueError: of another",
    ],
)
def test_what_surrounds_nothing_is_kept(message: str) -> None:
    assert cause_in("E", message) == f"E: {message}"


def test_without_a_message_there_is_the_class() -> None:
    assert cause_in("E", " \n") == "E"
