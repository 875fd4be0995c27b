"""The options that have to be in force while the entry point builds its model, and the checks that they are.

`scope` and `apply_precision` are called before the user's code, `require_followed` after it: a model
that was built while its module was imported, or with a precision of its own, has not followed.
"""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sidecar_evaluator.engine.keras_model import KerasModel, layers_of
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.options import Compilation, Distribution, Options, Precision

_log = logging.getLogger(__name__)

_POLICIES = {Precision.MIXED_FLOAT16: "mixed_float16", Precision.MIXED_BFLOAT16: "mixed_bfloat16"}
_COMPUTES_IN = {Precision.MIXED_FLOAT16: "float16", Precision.MIXED_BFLOAT16: "bfloat16"}


def apply_precision(options: Options) -> None:
    """Set the global policy of both Kerases, because the entry point has not said yet which it uses.

    Keras keeps its policy for each thread: call this in the one that builds the model.
    """
    policy = _POLICIES.get(options.precision)
    if policy:
        for name in ("keras", "tf_keras"):
            importlib.import_module(name).mixed_precision.set_global_policy(policy)


@contextmanager
def scope(options: Options) -> Iterator[None]:
    """Let models that are built inside live on all GPUs of the pod, if the options say so."""
    devices = _devices() if options.distribution is Distribution.MIRRORED else []
    if len(devices) < 2:
        if options.distribution is Distribution.MIRRORED:
            _log.info("Only one device is there, so the evaluation is not distributed.")
        yield
        return
    import tensorflow as tf

    _log.info("The evaluation is distributed over %d devices.", len(devices))
    with tf.distribute.MirroredStrategy(devices).scope():
        yield


def _devices() -> list[str]:
    """Return the GPUs; the processors where there is none, of which only a test has several."""
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in found]


def require_followed(model: KerasModel, options: Options) -> None:
    """Check that the model was built as the options say; make it compile by XLA if they say so.

    Raises ConfigurationError: it was not.
    """
    wanted = _COMPUTES_IN.get(options.precision)
    if wanted and not any(_computes_in(layer) == wanted for layer in layers_of(model.model)):
        raise ConfigurationError(
            f"No layer of the model computes in {wanted}; build the model inside the entry point and give its "
            "layers no dtype, or leave the precision at Model."
        )
    if options.distribution is Distribution.MIRRORED and len(_devices()) > 1 and not model.is_mirrored:
        raise ConfigurationError(
            "The model was not built for several devices; build it inside the entry point, or leave the "
            "distribution at None."
        )
    if options.compilation is Compilation.XLA:
        model.model.jit_compile = True


def _computes_in(layer: Any) -> str:
    return str(getattr(layer, "compute_dtype", ""))
