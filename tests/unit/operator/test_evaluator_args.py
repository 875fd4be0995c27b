from typing import Any

import pytest

from sidecar_operator.evaluator_args import arguments
from unit.operator.support.samples import KEY, evaluation


def rendered(**spec: Any) -> list[str]:
    return arguments(KEY, evaluation(spec)["spec"])


def test_least_spec() -> None:
    assert rendered() == [
        "run",
        "--checkpoint-dir=/checkpoints/run",
        "--format=Auto",
        "--selection=Latest",
        "--entrypoint=evaluate:build",
        "--evaluation-timeout=3600",
        "--history-limit=10",
        "--resource=team/mnist",
        "--port=8080",
    ]


EVALUATOR = {"entrypoint": "evaluate:build"}
SOURCE = {"persistentVolumeClaim": {"claimName": "runs"}}
BUCKET = {"gcs": {"bucket": "my-bucket"}}


def performing(**performance: Any) -> dict[str, Any]:
    return {"evaluator": EVALUATOR | {"performance": performance}}


@pytest.mark.parametrize(
    ("spec", "argument"),
    [
        ({"checkpoints": {"source": SOURCE, "path": "."}}, "--checkpoint-dir=/checkpoints"),
        ({"checkpoints": {"source": SOURCE, "path": "a", "selection": "Every"}}, "--selection=Every"),
        ({"checkpoints": {"source": SOURCE, "path": "a", "format": "TensorFlow"}}, "--format=TensorFlow"),
        ({"checkpoints": {"source": SOURCE, "path": "a", "format": "Orbax"}}, "--format=Orbax"),
        ({"checkpoints": {"source": BUCKET, "path": "a"}}, "--listing-age=0"),
        ({"checkpoints": {"source": SOURCE, "path": "a", "include": ["ckpt-*"]}}, "--include=ckpt-*"),
        ({"checkpoints": {"source": SOURCE, "path": "a", "exclude": ["a", "$(B)"]}}, "--exclude=$$(B)"),
        ({"evaluator": EVALUATOR | {"steps": 5}}, "--steps=5"),
        (performing(dataInMemory="None"), "--data-in-memory=None"),
        (performing(dataInMemory="Device"), "--data-in-memory=Device"),
        (performing(compilation="XLA"), "--compilation=XLA"),
        (performing(precision="MixedFloat16"), "--precision=MixedFloat16"),
        (performing(distribution="Mirrored"), "--distribution=Mirrored"),
        (performing(checkpointsPerPass=4), "--checkpoints-per-pass=4"),
        ({"evaluator": EVALUATOR | {"parameters": [{"name": "x", "value": "-1=2 $(A)"}]}}, "--parameter=x=-1=2 $$(A)"),
        ({"evaluator": EVALUATOR | {"output": {**SOURCE, "path": "."}}}, "--output-dir=/output"),
        ({"evaluator": EVALUATOR | {"output": {**SOURCE, "path": "a/b"}}}, "--output-dir=/output/a/b"),
        ({"bestCheckpoint": {}}, "--keep-best=1"),
        ({"bestCheckpoint": {"keep": 5}}, "--keep-best=5"),
        ({"completion": {"maxEvaluations": 3}}, "--max-evaluations=3"),
        ({"completion": {"noCheckpointTimeoutSeconds": 3}}, "--no-checkpoint-timeout=3"),
        ({"metrics": {"primary": "loss", "goal": "Minimize"}}, "--goal=Minimize"),
        ({"metrics": {"primary": "loss", "goal": "Minimize"}}, "--primary-metric=loss"),
        ({"historyLimit": 20}, "--history-limit=20"),
        ({"trainingRef": {"apiVersion": "batch/v1", "kind": "Job", "name": "t"}}, "--follow-training"),
    ],
)
def test_a_field_gives_a_flag(spec: dict[str, Any], argument: str) -> None:
    assert argument in rendered(**spec)
    assert argument not in rendered()


def test_only_the_fields_of_performance_that_are_set_become_flags() -> None:
    added = set(rendered(**performing(precision="MixedBFloat16"))) - set(rendered())
    assert added == {"--precision=MixedBFloat16"}
