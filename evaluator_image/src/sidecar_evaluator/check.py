"""`sidecar-evaluator check`: one checkpoint, now, its scores printed.

For people who debug an entry point or doubt a score; called by the command line alone. It publishes
nothing and waits for nothing.
"""

import json
import threading
from collections.abc import Sequence

from sidecar_evaluator.building import built
from sidecar_evaluator.checkpoints.directory import Directory
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.config import CheckConfig
from sidecar_evaluator.errors import CheckpointUnreadable, ConfigurationError, ExitCode
from sidecar_evaluator.evaluation import Loaded
from sidecar_evaluator.ls import lacking, seen
from sidecar_evaluator.outcome import Score, label
from sidecar_evaluator.results_status import render_value


def check(config: CheckConfig) -> ExitCode:
    """Evaluate the checkpoint that is named, or the newest complete one, and print its scores.

    Raises ConfigurationError: there is no such checkpoint, or the model cannot be evaluated.
    CheckpointError: the checkpoint cannot be evaluated.
    """
    checkpoint = _chosen(config)
    evaluation = built(config.model, threading.Event())
    weights = evaluation.read(checkpoint)
    step = checkpoint.number if weights.iterations is None else weights.iterations
    (scores,) = evaluation.score([Loaded(weights, step, checkpoint)])
    _print(config, checkpoint, step, scores)
    return ExitCode.DRAINED


def _chosen(config: CheckConfig) -> Checkpoint:
    directory = Directory(config.model.checkpoint_dir, config.model.format)
    found = seen(directory).checkpoints
    if config.checkpoint is None:
        newest = next((each for each in reversed(found) if not lacking(each)), None)
        if newest is None:
            raise ConfigurationError(f"{directory.path} holds no complete checkpoint; see `sidecar-evaluator ls`.")
        return newest
    named = next((each for each in found if each.name == config.checkpoint), None)
    if named is None:
        raise ConfigurationError(
            f"{directory.path} holds no checkpoint {config.checkpoint}; see `sidecar-evaluator ls`."
        )
    if lacks := lacking(named):
        raise CheckpointUnreadable(f"{named.name} is not complete: {lacks}.")
    return named


def _print(config: CheckConfig, checkpoint: Checkpoint, step: int | None, scores: Sequence[Score]) -> None:
    if config.as_json:
        metrics = [{"name": each.name, "dataset": each.dataset, "value": render_value(each.value)} for each in scores]
        print(json.dumps({"checkpoint": checkpoint.name, "step": step, "metrics": metrics}))  # noqa: T201
        return
    print(f"{checkpoint.name} step={'-' if step is None else step}")  # noqa: T201 - the command's own output
    for each in scores:
        print(f"{label(each)}={render_value(each.value)}")  # noqa: T201 - the command's own output
