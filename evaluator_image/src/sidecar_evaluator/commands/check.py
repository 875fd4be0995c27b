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
from sidecar_evaluator.commands.ls import require_listing
from sidecar_evaluator.commands.model_setup import evaluator_of
from sidecar_evaluator.discovery.completeness import missing_parts
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.discovery.other_formats import other_format
from sidecar_evaluator.errors import CheckpointError, CheckpointUnreadable, ConfigurationError, ExitCode, first_line
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from sidecar_evaluator.results.outcome import NO_SCORES, Score, label
from sidecar_evaluator.results.ranking import no_such_metric
from sidecar_evaluator.results.serialization import render_score, render_value
from sidecar_evaluator.runtime.log_format import plain

_log = logging.getLogger(__name__)


def check(config: CheckConfig) -> ExitCode:
    """Evaluate the checkpoint that is named, or the newest complete one, and print its scores.

    Raises ConfigurationError: there is no such checkpoint, or the model cannot be evaluated.
    CheckpointError: the checkpoint cannot be evaluated.
    """
    checkpoint = _chosen(config)
    evaluator = evaluator_of(config.model, threading.Event())
    loaded = Loaded(checkpoint, evaluator.read(checkpoint))
    scores = _scores(evaluator, loaded)
    if config.primary_metric and (mistake := no_such_metric(config.primary_metric, scores)):
        raise ConfigurationError(mistake)
    _print(config, loaded, scores)
    return ExitCode.DRAINED


def _scores(evaluator: ModelEvaluator, loaded: Loaded) -> tuple[Score, ...]:
    """Score one checkpoint; what goes wrong is told as a person needs it who looks for the mistake.

    Raises CheckpointError: it has no score.
    """
    try:
        (scores,) = evaluator.score([loaded])
    except (ConfigurationError, CheckpointError):
        raise
    except (Exception, SystemExit) as error:
        message = f"The evaluation failed: {first_line(error)}"
        _log.warning("%s", message, exc_info=error)
        raise CheckpointError(message) from error
    if not scores:
        raise CheckpointError(NO_SCORES)
    return scores


def _chosen(config: CheckConfig) -> Checkpoint:
    directory = Directory(config.model.checkpoint_dir, config.model.format, patterns=config.model.patterns)
    listing = require_listing(directory)
    checkpoints = listing.checkpoints
    if config.checkpoint is None:
        newest = next((checkpoint for checkpoint in reversed(checkpoints) if not missing_parts(checkpoint)), None)
        if newest is None:
            other = "" if checkpoints else other_format(directory.path, listing.names)
            hint = other or "see `sidecar-evaluator ls`"
            raise ConfigurationError(f"{directory.path} holds no complete checkpoint; {hint}.")
        return newest
    named = next((checkpoint for checkpoint in checkpoints if checkpoint.name == config.checkpoint), None)
    if named is None:
        raise ConfigurationError(
            f"{directory.path} holds no checkpoint {config.checkpoint}; `sidecar-evaluator ls` shows their names, "
            "which have no ending."
        )
    if lacks := missing_parts(named):
        raise CheckpointUnreadable(f"{named.name} is not complete: {lacks}.")
    return named


def _print(config: CheckConfig, loaded: Loaded, scores: Sequence[Score]) -> None:
    name, step = loaded.checkpoint.name, loaded.step
    if config.as_json:
        metrics = [render_score(score) for score in scores]
        print(json.dumps({"checkpoint": name, "step": step, "metrics": metrics}))  # noqa: T201
        return
    print(f"{plain(name)} step={'-' if step is None else step}")  # noqa: T201 - the command's own output
    for score in scores:
        print(f"{label(score)}={render_value(score.value)}")  # noqa: T201 - the command's own output
