"""From flags to a model that is ready to be scored: the entry point called under the options chosen.

`run` and `check` call it. Precision and distribution must be in force before the user's code builds
the model, so that the order of the calls here matters.
"""

import os
import sys
import threading

from sidecar_evaluator import entrypoint
from sidecar_evaluator.assembly import prepared_evaluator
from sidecar_evaluator.code_directory import add_to_path
from sidecar_evaluator.commands.config import ModelConfig
from sidecar_evaluator.engine.apply_options import apply_precision, strategy_scope
from sidecar_evaluator.evaluator import ModelEvaluator


def evaluator_of(config: ModelConfig, stop: threading.Event) -> ModelEvaluator:
    """Call the entry point and prepare what it returns; this imports TensorFlow.

    Raises ConfigurationError: the entry point, its model or its data are wrong.
    """
    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as `python -m` does
    if config.code_dir:
        add_to_path(config.code_dir)
    apply_precision(config.options)
    with strategy_scope(config.options):
        evaluation = entrypoint.load(config.entrypoint, config.parameters, config.code_dir)
        if config.steps:
            evaluation.steps = config.steps
        return prepared_evaluator(evaluation, stop, config.options)
