"""What is measured of ours, in one place: the evaluation and the checkpoints that it reads.

Groups call it in their own processes.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.checkpoints.registry import AUTO
from sidecar_evaluator.commands import model_setup
from sidecar_evaluator.commands.config import ModelConfig
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.engine.keras_model import KerasModel
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from sidecar_evaluator.options import Options

ENTRYPOINT = "benchmarks.workload:evaluation"


def built(entrypoint: str = ENTRYPOINT, options: Options | None = None, **parameters: str) -> ModelEvaluator:
    """Return the evaluator of an entry point, built and prepared as the command does it."""
    config = ModelConfig(Path(), AUTO, entrypoint, parameters, None, options or Options())
    return model_setup.evaluator_of(config, threading.Event())


def complete_checkpoints(directory: Path) -> dict[int, Checkpoint]:
    """Return the complete checkpoints of a directory by their number."""
    looking = Directory(directory)
    looking.look()  # a weights file is complete at its second look
    complete = [one for one in looking.look().checkpoints if not one.missing]
    return {one.number: one for one in complete if one.number is not None}


def restorer(model: Any) -> Callable[[Checkpoint], None]:
    """Return a function that loads a checkpoint into the model, as the evaluation does it."""
    held = KerasModel(model)

    def restore(checkpoint: Checkpoint) -> None:
        weights = read_checkpoint(checkpoint, model)
        held.assign(weights, weights.iterations)

    return restore


def read(evaluation: ModelEvaluator, checkpoint: Checkpoint) -> Loaded:
    """Read a checkpoint into host memory."""
    return Loaded(checkpoint, evaluation.read(checkpoint))


def scores(evaluation: ModelEvaluator, loaded: Sequence[Loaded]) -> list[dict[str, float]]:
    """Score checkpoints in one pass over the data."""
    return [{score.name: score.value for score in one} for one in evaluation.score(loaded)]
