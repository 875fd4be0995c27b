"""The command line that the operator renders is one that the evaluator understands, and means the same."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar_evaluator import cli, config
from sidecar_evaluator.best import Goal
from sidecar_evaluator.config import Config
from sidecar_evaluator.ledger import Selection
from sidecar_operator import command
from sidecar_operator.api import Key

SPEC: dict[str, Any] = {
    "checkpoints": {"source": {"s3": {"claimName": "runs"}}, "path": "run-42/ckpt"},
    "evaluator": {"entrypoint": "evaluate:build"},
}
FULL: dict[str, Any] = {
    "trainingRef": {"apiVersion": "batch/v1", "kind": "Job", "name": "mnist"},
    "checkpoints": {**SPEC["checkpoints"], "format": "KerasWeights", "selection": "Every"},
    "evaluator": {
        "entrypoint": "evaluate:build",
        "parameters": [{"name": "batch", "value": "256"}, {"name": "split", "value": "-a=b c"}],
        "steps": 100,
        "evaluationTimeoutSeconds": 60,
        "output": {"path": "run-42/eval", "persistentVolumeClaim": {"claimName": "runs"}},
    },
    "metrics": {"primary": "loss", "goal": "Minimize"},
    "completion": {"maxEvaluations": 7, "noCheckpointTimeoutSeconds": 30},
    "historyLimit": 5,
}


def parsed(spec: dict[str, Any]) -> Config:
    return config.from_arguments(cli.parser().parse_args(command.arguments(Key("team", "mnist"), spec)))


def test_everything_that_the_spec_says_arrives() -> None:
    found = parsed(FULL)
    assert found.checkpoint_dir == Path("/checkpoints/run-42/ckpt")
    assert found.output_dir == Path("/output/run-42/eval")
    assert (found.entrypoint, found.format) == ("evaluate:build", "KerasWeights")
    assert found.parameters == {"batch": "256", "split": "-a=b c"}
    assert (found.steps, found.evaluation_timeout, found.rules.history_limit) == (100, 60, 5)
    assert found.rules.primary is not None
    assert (found.rules.primary.name, found.rules.primary.goal) == ("loss", Goal.MINIMIZE)
    assert found.policy.selection is Selection.EVERY
    assert (found.policy.max_evaluations, found.policy.no_checkpoint_timeout) == (7, 30)
    assert (found.resource, found.follow_training, found.port) == ("team/mnist", True, command.PORT)


def test_the_least_spec_arrives_with_the_defaults_of_the_schema(schema: dict[str, Any]) -> None:
    found = parsed(SPEC)
    spec = schema["properties"]["spec"]["properties"]
    assert found.format == spec["checkpoints"]["properties"]["format"]["default"]
    assert found.policy.selection == spec["checkpoints"]["properties"]["selection"]["default"]
    assert found.evaluation_timeout == spec["evaluator"]["properties"]["evaluationTimeoutSeconds"]["default"]
    assert found.rules.history_limit == spec["historyLimit"]["default"]
    assert found.follow_training is False


GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden" / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_job_has_a_command_line_that_parses(golden: Path) -> None:
    jobs = [one for one in yaml.safe_load_all(golden.read_text()) if one and one["kind"] == "Job"]
    assert jobs
    for job in jobs:
        container = job["spec"]["template"]["spec"]["containers"][0]
        assert config.from_arguments(cli.parser().parse_args(container["args"])).resource
