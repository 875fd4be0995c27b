"""The settings of one `run` or `check`, checked: values made from flags."""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from sidecar_evaluator.code_directory import OnChange
from sidecar_evaluator.discovery.claims import EVERY_NAME, NamePatterns
from sidecar_evaluator.discovery.iterator import Policy
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.options import Compilation, DataInMemory, Distribution, Options, Precision
from sidecar_evaluator.results.ledger import Rules
from sidecar_evaluator.results.ranking import Goal, Primary


@dataclass(frozen=True)
class ModelConfig:
    """Which checkpoints, which model and data, and how to evaluate them."""

    checkpoint_dir: Path
    format: str
    entrypoint: str
    parameters: dict[str, str]
    steps: int | None
    options: Options
    code_dir: Path | None = None
    patterns: NamePatterns = EVERY_NAME


@dataclass(frozen=True)
class Config:
    """Everything that the command line of `run` decides; times are seconds."""

    model: ModelConfig
    policy: Policy
    rules: Rules
    evaluation_timeout: float | None
    output_dir: Path | None
    keep_best: int | None
    resource: str | None
    retry_failed_before: float | None
    follow_training: bool
    on_code_change: OnChange
    sentinel: str
    port: int
    termination_log: Path


@dataclass(frozen=True)
class CheckConfig:
    """What `check` evaluates; the newest complete checkpoint where none is named."""

    model: ModelConfig
    checkpoint: str | None
    primary_metric: str | None
    as_json: bool


def from_arguments(arguments: Namespace) -> Config:
    """Check what argparse could not and build the settings of `run`.

    Raises ConfigurationError: flags contradict each other.
    """
    _require_consistent(arguments)
    goal = Goal(arguments.goal)
    primary = Primary(arguments.primary_metric, goal) if arguments.primary_metric else None
    return Config(
        model=_model_config(arguments),
        policy=Policy(
            selection=Selection(arguments.selection),
            max_evaluations=arguments.max_evaluations,
            no_checkpoint_timeout=arguments.no_checkpoint_timeout,
            listing_age=arguments.listing_age,
        ),
        rules=Rules(primary, arguments.history_limit),
        evaluation_timeout=arguments.evaluation_timeout,
        output_dir=arguments.output_dir,
        keep_best=arguments.keep_best,
        resource=arguments.resource,
        retry_failed_before=arguments.retry_failed_before,
        follow_training=arguments.follow_training,
        on_code_change=OnChange(arguments.on_code_change),
        sentinel=arguments.training_finished_file,
        port=arguments.port,
        termination_log=arguments.termination_log,
    )


def check_from_arguments(arguments: Namespace) -> CheckConfig:
    """Build the settings of `check`.

    Raises ConfigurationError: a parameter has no name.
    """
    return CheckConfig(_model_config(arguments), arguments.checkpoint, arguments.primary_metric, arguments.json)


def patterns_from(arguments: Namespace) -> NamePatterns:
    """Return the name patterns that every command takes."""
    return NamePatterns(tuple(arguments.include), tuple(arguments.exclude))


def _model_config(arguments: Namespace) -> ModelConfig:
    return ModelConfig(
        checkpoint_dir=arguments.checkpoint_dir,
        format=arguments.format,
        patterns=patterns_from(arguments),
        entrypoint=arguments.entrypoint,
        code_dir=arguments.code_dir,
        parameters=_parameters(arguments.parameter),
        steps=arguments.steps,
        options=Options(
            data_in_memory=DataInMemory(arguments.data_in_memory),
            compilation=Compilation(arguments.compilation),
            precision=Precision(arguments.precision),
            distribution=Distribution(arguments.distribution),
            checkpoints_per_pass=arguments.checkpoints_per_pass,
        ),
    )


def _require_consistent(arguments: Namespace) -> None:
    if arguments.follow_training and not arguments.resource:
        raise ConfigurationError("--follow-training needs --resource: the resource tells the training's state.")
    if arguments.resource and not _is_reference(arguments.resource):
        raise ConfigurationError(f"--resource={arguments.resource} must have the form namespace/name.")
    if arguments.keep_best and not (arguments.output_dir and arguments.primary_metric):
        raise ConfigurationError(
            "--keep-best needs --output-dir, the place of the copies, and --primary-metric, which decides what is best."
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
