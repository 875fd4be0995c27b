"""The formats that are known, one line each, in the order in which they claim the entries of a directory.

`discovery.directory` and the flag `--format` ask for formats by name. No other module may list them.
"""

from collections.abc import Mapping, Sequence

from sidecar_evaluator.checkpoints.interface import CheckpointFormat
from sidecar_evaluator.checkpoints.keras.archive import KerasArchive
from sidecar_evaluator.checkpoints.keras.weights_file import KerasWeights
from sidecar_evaluator.checkpoints.orbax.format import Orbax
from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow

AUTO = "Auto"
_FORMATS: Sequence[type[CheckpointFormat]] = (
    TensorFlow,
    KerasWeights,
    KerasArchive,
    Orbax,
)
FORMATS: Mapping[str, type[CheckpointFormat]] = {known_format.name: known_format for known_format in _FORMATS}


def formats_named(name: str) -> list[CheckpointFormat]:
    """Make the format of this name, or every one for `Auto`."""
    return [FORMATS[format_name]() for format_name in (FORMATS if name == AUTO else (name,))]
