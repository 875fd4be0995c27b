"""Applies the options that affect how the entry point builds its model, and checks that the model follows them.

`commands.model_setup` calls `strategy_scope` and `apply_precision` before the entry point; `evaluator` calls
`require_options_applied` afterwards. A model that is built when its module is imported, or with a dtype policy
of its own, does not follow them and is refused.
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
_COMPUTE_DTYPES = {Precision.MIXED_FLOAT16: "float16", Precision.MIXED_BFLOAT16: "bfloat16"}


def apply_precision(options: Options) -> None:
    """Set the global dtype policy of Keras 3 and tf_keras: it is not known yet which one the entry point uses.

    The policy is per thread: call this in the thread that builds the model.
    """
    policy = _POLICIES.get(options.precision)
    if policy:
        for name in ("keras", "tf_keras"):
            importlib.import_module(name).mixed_precision.set_global_policy(policy)


@contextmanager
def strategy_scope(options: Options) -> Iterator[None]:
    """Enter the scope of a MirroredStrategy over all GPUs of the pod, if the options ask for it."""
    devices = _devices() if options.distribution is Distribution.MIRRORED else []
    if len(devices) < 2:
        if options.distribution is Distribution.MIRRORED:
            _log.info("There is only one device, so the evaluation is not distributed.")
        yield
        return
    import tensorflow as tf

    _log.info("The evaluation is distributed over %d devices.", len(devices))
    with tf.distribute.MirroredStrategy(devices).scope():
        yield


def _devices() -> list[str]:
    """Return the GPUs; without GPUs the logical CPUs, of which only tests have several."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]


def require_options_applied(model: KerasModel, options: Options) -> None:
    """Check that the model was built according to the options; enable its XLA compilation if they ask for it.

    Raises ConfigurationError: the model was not built according to the options.
    """
    compute_dtype = _COMPUTE_DTYPES.get(options.precision)
    if compute_dtype and not any(_compute_dtype_of(layer) == compute_dtype for layer in layers_of(model.model)):
        raise ConfigurationError(
            f"No layer of the model computes in {compute_dtype}; build the model inside the entry point and set no "
            "dtype on its layers, or leave the precision at Model."
        )
    if options.distribution is Distribution.MIRRORED and len(_devices()) > 1 and not model.is_mirrored:
        raise ConfigurationError(
            "The model was not built for several devices; build it inside the entry point, or leave the "
            "distribution at None."
        )
    if options.compilation is Compilation.XLA:
        model.model.jit_compile = True


def _compute_dtype_of(layer: Any) -> str:
    return str(getattr(layer, "compute_dtype", ""))
