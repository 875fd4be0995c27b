"""Evaluates the checkpoints of a training as they finish.

Users import three names from here: `SidecarEvaluator`, started from Python beside a training;
`Evaluation`, returned by the entry point of `sidecar-evaluator run`; and `SidecarEvaluatorModelExport`,
a callback that saves the best model. Importing the package loads neither TensorFlow nor Keras: both
are loaded where the first model or checkpoint is read.
"""

from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.model_export import SidecarEvaluatorModelExport
from sidecar_evaluator.sidecar import SidecarEvaluator

__all__ = ["Evaluation", "SidecarEvaluator", "SidecarEvaluatorModelExport"]
