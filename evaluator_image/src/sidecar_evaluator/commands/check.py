"""`sidecar-evaluator check`: one checkpoint, now, its scores printed.

For people who debug an entry point or doubt a score; called by the command line alone. It publishes
nothing and waits for nothing.
"""

import json
import logging
import threading
from collections.abc import Sequence

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.commands.config import CheckConfig
from sidecar_evaluator.commands.ls import lacking, seen
from sidecar_evaluator.commands.model_setup import built
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.errors import CheckpointError, CheckpointUnreadable, ConfigurationError, ExitCode, first_line
from sidecar_evaluator.evaluator import Loaded, ModelEvaluation
from sidecar_evaluator.results.outcome import NO_SCORES, Score, label
from sidecar_evaluator.results.serialization import render_value
from sidecar_evaluator.runtime.log_format import plain

_log = logging.getLogger(__name__)


def check(config: CheckConfig) -> ExitCode:
    """Evaluate the checkpoint that is named, or the newest complete one, and print its scores.

    Raises ConfigurationError: there is no such checkpoint, or the model cannot be evaluated.
    CheckpointError: the checkpoint cannot be evaluated.
    """
    checkpoint = _chosen(config)
    evaluation = built(config.model, threading.Event())
    weights = evaluation.read(checkpoint)
    step = checkpoint.number if weights.iterations is None else weights.iterations
    _print(config, checkpoint, step, _scores(evaluation, Loaded(weights, step, checkpoint)))
    return ExitCode.DRAINED


def _scores(evaluation: ModelEvaluation, loaded: Loaded) -> tuple[Score, ...]:
    """Score one checkpoint; what goes wrong is told as a person needs it who looks for the mistake.

    Raises CheckpointError: it has no score.
    """
    try:
        (scores,) = evaluation.score([loaded])
    except (ConfigurationError, CheckpointError):
        raise
    except (Exception, SystemExit) as error:
        _log.warning("The evaluation failed.", exc_info=error)
        raise CheckpointError(f"The evaluation failed: {first_line(error)}") from error
    if not scores:
        raise CheckpointError(NO_SCORES)
    return scores


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
            f"{directory.path} holds no checkpoint {config.checkpoint}; `sidecar-evaluator ls` shows their names, "
            "which have no ending."
        )
    if lacks := lacking(named):
        raise CheckpointUnreadable(f"{named.name} is not complete: {lacks}.")
    return named


def _print(config: CheckConfig, checkpoint: Checkpoint, step: int | None, scores: Sequence[Score]) -> None:
    if config.as_json:
        metrics = [{"name": each.name, "dataset": each.dataset, "value": render_value(each.value)} for each in scores]
        print(json.dumps({"checkpoint": checkpoint.name, "step": step, "metrics": metrics}))  # noqa: T201
        return
    print(f"{plain(checkpoint.name)} step={'-' if step is None else step}")  # noqa: T201 - the command's own output
    for each in scores:
        print(f"{label(each)}={render_value(each.value)}")  # noqa: T201 - the command's own output
