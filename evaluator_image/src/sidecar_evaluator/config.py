"""The settings of one `sidecar-evaluator run`, checked: a value made from flags, used by `run`."""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from sidecar_evaluator.best import Goal, Primary
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.ledger import Rules, Selection
from sidecar_evaluator.watching import Policy


@dataclass(frozen=True)
class Config:
    """Everything that the command line decides; times are seconds."""

    checkpoint_dir: Path
    entrypoint: str
    parameters: dict[str, str]
    format: str
    policy: Policy
    rules: Rules
    steps: int | None
    evaluation_timeout: float | None
    output_dir: Path | None
    resource: str | None
    follow_training: bool
    sentinel: str
    port: int
    termination_log: Path


def from_arguments(arguments: Namespace) -> Config:
    """Check what argparse could not and build the settings.

    Raises ConfigurationError: flags contradict each other.
    """
    if arguments.follow_training and not arguments.resource:
        raise ConfigurationError("--follow-training needs --resource: the resource tells the training's state.")
    if arguments.resource and not _is_reference(arguments.resource):
        raise ConfigurationError(f"--resource={arguments.resource} must have the form namespace/name.")
    goal = Goal(arguments.goal)
    primary = Primary(arguments.primary_metric, goal) if arguments.primary_metric else None
    return Config(
        checkpoint_dir=arguments.checkpoint_dir,
        entrypoint=arguments.entrypoint,
        parameters=_parameters(arguments.parameter),
        format=arguments.format,
        policy=Policy(
            selection=Selection(arguments.selection),
            max_evaluations=arguments.max_evaluations,
            no_checkpoint_timeout=arguments.no_checkpoint_timeout,
        ),
        rules=Rules(primary, arguments.history_limit),
        steps=arguments.steps,
        evaluation_timeout=arguments.evaluation_timeout,
        output_dir=arguments.output_dir,
        resource=arguments.resource,
        follow_training=arguments.follow_training,
        sentinel=arguments.training_finished_file,
        port=arguments.port,
        termination_log=arguments.termination_log,
    )


def _is_reference(text: str) -> bool:
    namespace, _, name = text.partition("/")
    return bool(namespace and name and "/" not in name)


def _parameters(pairs: list[str]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name.isidentifier():
            raise ConfigurationError(f"--parameter={pair} must have the form name=value.")
        if name in parameters:
            raise ConfigurationError(f"--parameter {name} is given twice.")
        parameters[name] = value
    return parameters
