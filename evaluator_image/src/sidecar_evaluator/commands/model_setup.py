"""From flags to a model that is ready to be scored: the entry point called under the options chosen.

`run` and `check` call it. Precision and distribution must be in force before the user's code builds
the model, so the order of the calls here matters.
"""

import os
import sys
import threading

from sidecar_evaluator import entrypoint
from sidecar_evaluator.commands.config import ModelConfig
from sidecar_evaluator.engine.apply_options import apply_precision, scope
from sidecar_evaluator.evaluator import ModelEvaluation
from sidecar_evaluator.runtime.progress import ProgressLog


def built(config: ModelConfig, stop: threading.Event) -> ModelEvaluation:
    """Call the entry point and prepare what it returns; this imports TensorFlow.

    Raises ConfigurationError: the entry point, its model or its data are wrong.
    """
    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as `python -m` does
    apply_precision(config.options)
    with scope(config.options):
        loaded = entrypoint.load(config.entrypoint, config.parameters)
        if config.steps:
            loaded.steps = config.steps
        evaluation = ModelEvaluation(loaded, stop, config.options, ProgressLog())
        evaluation.prepare()
    return evaluation
