"""How an evaluation is run: words shared by the command line, the resource and the engine.

The command line and the resource's `spec.evaluator.performance` take the same words. Nothing here
imports TensorFlow or Keras; `execution` gives the words their effect.
"""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_CHECKPOINTS_PER_PASS = 8


class DataInMemory(StrEnum):
    """Where the batches of a dataset are kept between two checkpoints."""

    NONE = "None"
    HOST = "Host"
    DEVICE = "Device"


class Compilation(StrEnum):
    """Who compiles the evaluation: as the model says, or XLA in any case."""

    DEFAULT = "Default"
    XLA = "XLA"


class Precision(StrEnum):
    """The numbers that the model computes in: as it was built, or the global policy of its Keras."""

    MODEL = "Model"
    MIXED_FLOAT16 = "MixedFloat16"
    MIXED_BFLOAT16 = "MixedBFloat16"


class Distribution(StrEnum):
    """Whether one evaluation uses all GPUs of the pod."""

    NONE = "None"
    MIRRORED = "Mirrored"


@dataclass(frozen=True)
class Options:
    """What a user may choose; the defaults give the scores of `model.evaluate`.

    `checkpoints_per_pass` is the most that are scored in one pass over the data; memory may allow fewer.
    """

    data_in_memory: DataInMemory = DataInMemory.NONE
    compilation: Compilation = Compilation.DEFAULT
    precision: Precision = Precision.MODEL
    distribution: Distribution = Distribution.NONE
    checkpoints_per_pass: int = DEFAULT_CHECKPOINTS_PER_PASS
