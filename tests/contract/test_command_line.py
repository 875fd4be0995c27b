"""The command line that the operator renders is one that the evaluator understands, and means the same."""

import json
from argparse import Namespace
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar_evaluator.checkpoints.interface import Checkpoint, FileState
from sidecar_evaluator.checkpoints.registry import AUTO, FORMATS
from sidecar_evaluator.code_directory import OnChange
from sidecar_evaluator.commands import config, flags
from sidecar_evaluator.commands.config import Config
from sidecar_evaluator.discovery.claims import NamePatterns
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.options import Compilation, DataInMemory, Distribution, Options, Precision
from sidecar_evaluator.results import serialization
from sidecar_evaluator.results.ledger import Results, Rules
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason
from sidecar_evaluator.results.ranking import Goal
from sidecar_evaluator.results.resume import resume
from sidecar_operator import evaluator_args
from sidecar_operator.kube_objects import Key, format_time

KEY = Key("team", "mnist")
SPEC: dict[str, Any] = {
    "checkpoints": {"source": {"s3": {"claimName": "runs"}}, "path": "run-42/ckpt"},
    "evaluator": {"entrypoint": "evaluate:build"},
}
FULL: dict[str, Any] = {
    "trainingRef": {"apiVersion": "batch/v1", "kind": "Job", "name": "mnist"},
    "checkpoints": {
        "source": {"gcs": {"bucket": "my-bucket"}},
        "path": "run-42/ckpt",
        "format": "KerasWeights",
        "selection": "Every",
        "include": ["ckpt-*", "-x,y z"],
        "exclude": ["*best*", "last"],
    },
    "evaluator": {
        "entrypoint": "evaluate:build",
        "code": {"configMap": {"name": "mnist-eval"}, "onChange": "Restart"},
        "parameters": [{"name": "batch", "value": "256"}, {"name": "split", "value": "-a=b c"}],
        "steps": 100,
        "evaluationTimeoutSeconds": 60,
        "performance": {
            "dataInMemory": "Device",
            "compilation": "XLA",
            "precision": "MixedBFloat16",
            "distribution": "Mirrored",
            "checkpointsPerPass": 4,
        },
        "output": {"path": "run-42/eval", "persistentVolumeClaim": {"claimName": "runs"}},
    },
    "metrics": {"primary": "loss", "goal": "Minimize"},
    "bestCheckpoint": {"keep": 3},
    "completion": {"maxEvaluations": 7, "noCheckpointTimeoutSeconds": 30},
    "historyLimit": 5,
}
"""A spec that says something else than the default wherever the command line depends on it."""
OF_NO_FIELD = {"command", "training_finished_file", "termination_log", "verbose"}
"""What `run` can be told and a resource cannot."""


RESTARTED_AT = format_time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
"""The last request to run again, as the operator writes times."""


def parsed_flags(spec: dict[str, Any], restarted_at: str = "") -> Namespace:
    return flags.parser().parse_args(evaluator_args.arguments(KEY, spec, restarted_at))


def parsed(spec: dict[str, Any], restarted_at: str = "") -> Config:
    return config.from_arguments(parsed_flags(spec, restarted_at))


def performing(**performance: Any) -> dict[str, Any]:
    return {**SPEC, "evaluator": {**SPEC["evaluator"], "performance": performance}}


def properties(schema: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return the properties of the spec, or of an object in it."""
    level: dict[str, Any] = schema["properties"]["spec"]["properties"]
    for name in path:
        level = level[name]["properties"]
    return level


def test_everything_that_the_spec_says_arrives() -> None:
    run = parsed(FULL)
    assert run.model.checkpoint_dir == Path("/checkpoints/run-42/ckpt")
    assert run.output_dir == Path("/output/run-42/eval")
    assert (run.model.entrypoint, run.model.format) == ("evaluate:build", "KerasWeights")
    assert (run.model.code_dir, run.on_code_change) == (Path("/code"), OnChange.RESTART)
    assert run.model.patterns == NamePatterns(("ckpt-*", "-x,y z"), ("*best*", "last"))
    assert run.model.parameters == {"batch": "256", "split": "-a=b c"}
    assert (run.model.steps, run.evaluation_timeout, run.rules.history_limit) == (100, 60, 5)
    assert run.model.options == Options(
        DataInMemory.DEVICE, Compilation.XLA, Precision.MIXED_BFLOAT16, Distribution.MIRRORED, checkpoints_per_pass=4
    )
    assert run.rules.primary is not None
    assert (run.rules.primary.name, run.rules.primary.goal) == ("loss", Goal.MINIMIZE)
    assert (run.policy.selection, run.policy.listing_age, run.keep_best) == (Selection.EVERY, 0, 3)
    assert (run.policy.max_evaluations, run.policy.no_checkpoint_timeout) == (7, 30)
    assert (run.resource, run.follow_training, run.port) == ("team/mnist", True, evaluator_args.PORT)


def test_a_request_to_run_again_tries_what_failed_before_it() -> None:
    assert parsed(SPEC).retry_failed_before is None
    moment = parsed(SPEC, RESTARTED_AT).retry_failed_before
    assert moment is not None
    failed = Outcome("ckpt-1", OutcomeKind.FAILED, 1, 0.0, moment - 1, reason=Reason.EVALUATION_ERROR)
    later = replace(failed, checkpoint="ckpt-2", number=2, evaluated_at=moment)
    history = json.loads(json.dumps(serialization.render(Results(history=(later, failed), watermark=2))))
    settled = resume(serialization.parse(history), None, Rules(), moment).settled
    assert [settled.covers(listed(outcome)) for outcome in (failed, later)] == [False, True]


def listed(outcome: Outcome) -> Checkpoint:
    files = (FileState(outcome.checkpoint, 1, 1_000_000_000),)
    return Checkpoint(outcome.checkpoint, Path(outcome.checkpoint), FORMATS["KerasWeights"](), files)


def test_every_flag_but_a_few_can_be_reached_by_the_spec() -> None:
    default = vars(flags.parser().parse_args(["run", "--checkpoint-dir=/a", "--entrypoint=a:b"]))
    reached = {name for name, value in vars(parsed_flags(FULL, RESTARTED_AT)).items() if value != default[name]}
    assert default.keys() - reached == OF_NO_FIELD


def test_the_least_spec_arrives_with_the_defaults_of_the_schema(schema: dict[str, Any]) -> None:
    run = parsed(SPEC)
    assert run.model.format == properties(schema, "checkpoints")["format"]["default"]
    assert run.policy.selection == properties(schema, "checkpoints")["selection"]["default"]
    assert run.evaluation_timeout == properties(schema, "evaluator")["evaluationTimeoutSeconds"]["default"]
    assert run.rules.history_limit == properties(schema)["historyLimit"]["default"]
    assert run.model.options == Options()
    assert (run.follow_training, run.policy.listing_age, run.keep_best) == (False, None, None)


def test_performance_said_by_its_defaults_is_no_other_than_performance_unsaid(schema: dict[str, Any]) -> None:
    performance = properties(schema, "evaluator", "performance")
    defaults = {name: field["default"] for name, field in performance.items()}
    assert parsed(performing(**defaults)).model.options == Options()
    assert len(defaults) == len(fields(Options))


def test_the_best_checkpoint_is_kept_as_often_as_the_schema_says(schema: dict[str, Any]) -> None:
    bare, single = ({**FULL, "bestCheckpoint": best} for best in ({}, {"keep": 1}))
    assert parsed(bare).keep_best == parsed(single).keep_best == properties(schema, "bestCheckpoint")["keep"]["default"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("checkpoints", "format"), [AUTO, *FORMATS]),
        (("checkpoints", "selection"), Selection),
        (("metrics", "goal"), Goal),
        (("evaluator", "code", "onChange"), OnChange),
        (("evaluator", "performance", "dataInMemory"), DataInMemory),
        (("evaluator", "performance", "compilation"), Compilation),
        (("evaluator", "performance", "precision"), Precision),
        (("evaluator", "performance", "distribution"), Distribution),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_both_sides_know_the_same_words(schema: dict[str, Any], path: tuple[str, ...], words: Any) -> None:
    *parents, name = path
    assert set(properties(schema, *parents)[name]["enum"]) == {str(word) for word in words}


@pytest.mark.parametrize("bound", ["minimum", "maximum"])
def test_what_the_schema_bounds_is_within_what_the_evaluator_takes(schema: dict[str, Any], bound: str) -> None:
    passes = properties(schema, "evaluator", "performance")["checkpointsPerPass"][bound]
    keep = properties(schema, "bestCheckpoint")["keep"][bound]
    assert parsed(performing(checkpointsPerPass=passes)).model.options.checkpoints_per_pass == passes
    assert parsed({**FULL, "bestCheckpoint": {"keep": keep}}).keep_best == keep


GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden" / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_job_has_a_command_line_that_parses(golden: Path) -> None:
    jobs = [one for one in yaml.safe_load_all(golden.read_text()) if one and one["kind"] == "Job"]
    assert jobs
    for job in jobs:
        container = job["spec"]["template"]["spec"]["containers"][0]
        assert config.from_arguments(flags.parser().parse_args(container["args"])).resource
