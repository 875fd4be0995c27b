"""The performance options of an evaluation, shared by the command line and the engine.

The command line and the resource's `spec.evaluator.performance` accept the same values.
`engine.apply_options` and the rest of `engine` implement them. This module must not import TensorFlow or Keras.
"""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_CHECKPOINTS_PER_PASS = 8


class DataInMemory(StrEnum):
    """Where the batches of a dataset are cached between checkpoints."""

    NONE = "None"
    HOST = "Host"
    DEVICE = "Device"


class Compilation(StrEnum):
    """How the evaluation is compiled: as the model's `jit_compile` says, or always by XLA."""

    DEFAULT = "Default"
    XLA = "XLA"


class Precision(StrEnum):
    """The dtype policy that the model computes with: the model's own, or a global mixed precision policy."""

    MODEL = "Model"
    MIXED_FLOAT16 = "MixedFloat16"
    MIXED_BFLOAT16 = "MixedBFloat16"


class Distribution(StrEnum):
    """Whether one evaluation is distributed over all GPUs of the pod."""

    NONE = "None"
    MIRRORED = "Mirrored"


@dataclass(frozen=True)
class Options:
    """The options; with the defaults the scores are those of `model.evaluate`.

    `checkpoints_per_pass` is the maximum number of checkpoints scored in one pass over the data; if memory is
    short, it is fewer.
    """

    data_in_memory: DataInMemory = DataInMemory.NONE
    compilation: Compilation = Compilation.DEFAULT
    precision: Precision = Precision.MODEL
    distribution: Distribution = Distribution.NONE
    checkpoints_per_pass: int = DEFAULT_CHECKPOINTS_PER_PASS
