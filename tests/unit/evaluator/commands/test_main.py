"""The command line: flags as the operator renders them, exit codes, and where messages go."""

from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.code_directory import OnChange
from sidecar_evaluator.commands import main
from sidecar_evaluator.commands.config import Config, ModelConfig
from sidecar_evaluator.discovery.iterator import Policy
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.errors import ConfigurationError, ExitCode, IterationsMissingError, StorageGoneError
from sidecar_evaluator.options import Compilation, DataInMemory, Distribution, Options, Precision
from sidecar_evaluator.results.ledger import Rules
from sidecar_evaluator.results.ranking import Goal, Primary

REQUIRED = ["run", "--checkpoint-dir=/checkpoints/run", "--entrypoint=evaluate:build"]
RENDERED = [
    *REQUIRED,
    "--format=KerasWeights",
    "--selection=Every",
    "--parameter=batch=256",
    "--parameter=note=-a=b",
    "--steps=100",
    "--max-evaluations=7",
    "--no-checkpoint-timeout=3600",
    "--evaluation-timeout=600",
    "--primary-metric=loss",
    "--goal=Minimize",
    "--history-limit=20",
    "--output-dir=/output/run",
    "--keep-best=2",
    "--listing-age=0",
    "--data-in-memory=Host",
    "--compilation=XLA",
    "--precision=MixedBFloat16",
    "--distribution=Mirrored",
    "--checkpoints-per-pass=4",
    "--resource=ns/mnist",
    "--retry-failed-before=2026-01-02T03:04:05Z",
    "--follow-training",
    "--port=8080",
]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace the run; `raises` makes it raise, `config` is what it was called with."""
    record: dict[str, Any] = {"raises": None}

    def run(config: Config) -> ExitCode:
        record["config"] = config
        if record["raises"]:
            raise record["raises"]
        return ExitCode.DRAINED

    monkeypatch.setattr("sidecar_evaluator.commands.run.run", run)
    return record


def test_the_flags_that_the_operator_renders(ran: dict[str, Any]) -> None:
    assert main.main(RENDERED) == 0
    assert ran["config"] == Config(
        model=ModelConfig(
            checkpoint_dir=Path("/checkpoints/run"),
            format="KerasWeights",
            entrypoint="evaluate:build",
            parameters={"batch": "256", "note": "-a=b"},
            steps=100,
            options=Options(
                DataInMemory.HOST,
                Compilation.XLA,
                Precision.MIXED_BFLOAT16,
                Distribution.MIRRORED,
                checkpoints_per_pass=4,
            ),
        ),
        policy=Policy(Selection.EVERY, max_evaluations=7, no_checkpoint_timeout=3600.0, listing_age=0.0),
        rules=Rules(Primary("loss", Goal.MINIMIZE), 20),
        evaluation_timeout=600.0,
        output_dir=Path("/output/run"),
        keep_best=2,
        resource="ns/mnist",
        retry_failed_before=1767323045.0,
        follow_training=True,
        on_code_change=OnChange.WARN,
        sentinel="training.finished",
        port=8080,
        termination_log=Path("/dev/termination-log"),
    )


def test_two_flags_are_enough(ran: dict[str, Any]) -> None:
    assert main.main(REQUIRED) == 0
    config = ran["config"]
    assert (config.model.format, config.model.options) == ("Auto", Options())
    assert (config.policy, config.rules) == (Policy(), Rules())
    assert (config.port, config.resource, config.evaluation_timeout, config.keep_best) == (0, None, None, None)
    assert config.policy.listing_age is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["run"], "the following arguments are required: --checkpoint-dir, --entrypoint"),
        ([*REQUIRED, "--format=Pickle"], "invalid choice: 'Pickle'"),
        ([*REQUIRED, "--steps=0"], "'0' must be a whole number above 0"),
        ([*REQUIRED, "--steps=x"], "argument --steps: 'x' must be a whole number above 0"),
        ([*REQUIRED, "--evaluation-timeout=nan"], "'nan' must be a number of seconds above 0"),
        ([*REQUIRED, "--port=70000"], "must be a port"),
        ([*REQUIRED, "--port=http"], "'http' must be a port between 0 and 65535"),
        ([*REQUIRED, "--precision=float16"], "choose from 'Model', 'MixedFloat16', 'MixedBFloat16'"),
        (["run", "--checkpoint-dir=", "--entrypoint=a:b"], "argument --checkpoint-dir: '' must be a path"),
        ([*REQUIRED, "--training-finished-file="], "'' must be a name"),
        ([*REQUIRED, "--parameter=batch"], "--parameter=batch must have the form name=value"),
        ([*REQUIRED, "--parameter=a=1", "--parameter=a=2"], "--parameter a is given twice"),
        ([*REQUIRED, "--resource=mnist"], "must have the form namespace/name"),
        ([*REQUIRED, "--follow-training"], "--follow-training needs --resource"),
        ([*REQUIRED, "--keep-best=1"], "--keep-best needs --output-dir"),
        ([*REQUIRED, "--keep-best=1", "--output-dir=/out"], "and --primary-metric"),
        ([*REQUIRED, "--listing-age=-1"], "must be a number of seconds, 0 or more"),
        ([*REQUIRED, "--data-in-memory=Disk"], "invalid choice: 'Disk'"),
        (["ls"], "the following arguments are required: DIR"),
        (["check", *REQUIRED[1:], "--checkpoints-per-pass=2"], "unrecognized arguments"),
        (["check", "--entrypoint=a:b"], "the following arguments are required: --checkpoint-dir"),
        ([*REQUIRED, "--colour"], "unrecognized arguments: --colour; see sidecar-evaluator run --help."),
        (["check", *REQUIRED[1:], "--colour"], "unrecognized arguments: --colour; see sidecar-evaluator check --help."),
        (
            ["run", "--checkpoint-dir=gs://b/x", "--entrypoint=a:b"],
            "'gs://b/x' is a URL; mount the bucket, for example",
        ),
        (["check", "--checkpoint-dir=s3://b/x", "--entrypoint=a:b"], "'s3://b/x' is a URL; mount the bucket"),
        (["ls", "gs://b/x"], "'gs://b/x' is a URL; mount the bucket, for example with gcsfuse"),
    ],
)
def test_wrong_flags_are_configuration_errors(
    flags: list[str], message: str, ran: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(flags) == ExitCode.CONFIGURATION
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigurationError("The model has no metrics."), 78, "The model has no metrics."),
        (IterationsMissingError("/ckpt"), 78, "`iterations` cannot be loaded"),
        (StorageGoneError(107, "The mount has died"), 75, "The mount has died"),
        (RuntimeError("odd"), 1, "RuntimeError: odd"),
    ],
)
def test_every_ending_has_a_code_and_a_termination_message(
    error: Exception, code: int, message: str, ran: dict[str, Any], tmp_path: Path
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    ran["raises"] = error
    assert main.main([*REQUIRED, f"--termination-log={log}"]) == code
    assert message in log.read_text()


def test_no_termination_log_is_made_where_there_is_none(ran: dict[str, Any], tmp_path: Path) -> None:
    ran["raises"] = ConfigurationError("wrong")
    assert main.main([*REQUIRED, f"--termination-log={tmp_path / 'none'}"]) == 78
    assert list(tmp_path.iterdir()) == []


def test_the_users_traceback_is_shown_and_the_message_comes_last(
    ran: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ran["raises"] = ConfigurationError("It raised.", "line 1\nline 2\n")
    main.main(REQUIRED)
    assert capsys.readouterr().err.splitlines() == ["line 1", "line 2", "sidecar-evaluator: It raised."]


def test_help_explains_flags_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["run", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(flag.partition("=")[0] in text for flag in RENDERED[1:])
    assert "143  stopped by SIGTERM" in text
