"""The command line of the evaluator, rendered from a resource's spec.

It is half of the contract between the two distributions (the other half is `status.results`): each flag here is one
that `sidecar-evaluator run` knows. `manifests` puts it into the pod. Pure. Flags are single `--flag=value` arguments,
so that a value may begin with a dash; Kubernetes would expand `$(NAME)` in them, so every `$` is escaped.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from sidecar_operator.kube_objects import JsonObject, Key

CHECKPOINTS_DIR = PurePosixPath("/checkpoints")
OUTPUT_DIR = PurePosixPath("/output")
CODE_DIR = PurePosixPath("/code")
PORT = 8080

_PERFORMANCE = {
    "dataInMemory": "data-in-memory",
    "compilation": "compilation",
    "precision": "precision",
    "distribution": "distribution",
    "checkpointsPerPass": "checkpoints-per-pass",
}
"""Flag of each field of `spec.evaluator.performance`; the values are the same on both sides."""


def arguments(key: Key, spec: JsonObject, restarted_at: str = "") -> list[str]:
    """Return the arguments of the evaluator's container for the resource `key`.

    `restarted_at` is the time of the last request to run again, empty where there was none.
    """
    again = [f"--retry-failed-before={restarted_at}"] if restarted_at else []
    return [escaped(argument) for argument in (*_arguments(key, spec), *again)]


def escaped(text: str) -> str:
    """Return the text escaped, so that Kubernetes expands no variable in it (arguments and environment)."""
    return text.replace("$", "$$")


def _arguments(key: Key, spec: JsonObject) -> Iterator[str]:
    yield "run"
    yield from _checkpoints(spec["checkpoints"])
    yield from _evaluation(spec["evaluator"])
    yield from _completion(spec.get("completion", {}))
    yield from _metrics(spec.get("metrics", {}))
    yield f"--history-limit={spec.get('historyLimit', 10)}"
    yield from _output(spec)
    yield f"--resource={key}"
    if "trainingRef" in spec:
        yield "--follow-training"
    yield f"--port={PORT}"


def _checkpoints(checkpoints: JsonObject) -> Iterator[str]:
    yield f"--checkpoint-dir={CHECKPOINTS_DIR / checkpoints['path']}"
    yield f"--format={checkpoints.get('format', 'Auto')}"
    yield f"--selection={checkpoints.get('selection', 'Latest')}"
    for flag in ("include", "exclude"):
        for pattern in checkpoints.get(flag, []):
            yield f"--{flag}={pattern}"
    if "gcs" in checkpoints["source"]:
        yield "--listing-age=0"  # `volumes` mounts a bucket without a cache of its listings


def _evaluation(evaluator: JsonObject) -> Iterator[str]:
    yield f"--entrypoint={evaluator['entrypoint']}"
    if "code" in evaluator:
        yield f"--code-dir={CODE_DIR}"
        yield f"--on-code-change={evaluator['code'].get('onChange', 'Warn')}"
    for parameter in evaluator.get("parameters", []):
        yield f"--parameter={parameter['name']}={parameter['value']}"
    if "steps" in evaluator:
        yield f"--steps={evaluator['steps']}"
    yield f"--evaluation-timeout={evaluator.get('evaluationTimeoutSeconds', 3600)}"
    performance = evaluator.get("performance", {})
    for field, flag in _PERFORMANCE.items():
        if field in performance:
            yield f"--{flag}={performance[field]}"


def _completion(completion: JsonObject) -> Iterator[str]:
    if "maxEvaluations" in completion:
        yield f"--max-evaluations={completion['maxEvaluations']}"
    if "noCheckpointTimeoutSeconds" in completion:
        yield f"--no-checkpoint-timeout={completion['noCheckpointTimeoutSeconds']}"


def _metrics(metrics: JsonObject) -> Iterator[str]:
    if "primary" in metrics:
        yield f"--primary-metric={metrics['primary']}"
        yield f"--goal={metrics.get('goal', 'Maximize')}"


def _output(spec: JsonObject) -> Iterator[str]:
    if output := spec["evaluator"].get("output"):
        yield f"--output-dir={OUTPUT_DIR / output.get('path', '.')}"
    if "bestCheckpoint" in spec:
        yield f"--keep-best={spec['bestCheckpoint'].get('keep', 1)}"
