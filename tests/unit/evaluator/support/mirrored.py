"""Scores models and data of many kinds on several devices and on one; run as a process by a test.

Prints one line of JSON: by case, the largest difference of any score, or the error's message.
"""

import importlib
import json
import sys
import threading
from typing import Any

import tensorflow as tf

from sidecar_evaluator.engine.apply_options import strategy_scope
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.options import DataInMemory, Distribution, Options
from unit.evaluator.engine.test_scoring import checkpoints
from unit.evaluator.support.models import Kit
from unit.evaluator.support.scored_models import CASES, Case

KINDS = (
    "dataset of unknown length",
    "steps",
    "batches of any size",
    "arrays",
    "weighted dataset",
    "two heads",
    "a loss that layers add",
    "a test_step with its own metric",
    "unbuilt",
    "scores of the last batch",
    "a Sequence",
    "a metric that keeps predictions in Python",
    "metrics with a result for each class",
)


def evaluation_of(case: Case, kit: Kit, options: Options) -> tuple[Any, ModelEvaluator]:
    with strategy_scope(options):
        model = case.model(kit)
        evaluation = ModelEvaluator(Evaluation(model, case.data(kit), case.steps), threading.Event(), options)
        evaluation.prepare()
    return model, evaluation


def difference(case: Case, kit: Kit, options: Options) -> float:
    model, alone = evaluation_of(case, kit, Options())
    _, together = evaluation_of(case, kit, options)
    loaded = checkpoints(model)
    expected = alone.score(loaded)
    pairs = [pair for _ in range(2) for pair in zip(expected, together.score(loaded), strict=True)]
    scores = [pair for ours, theirs in pairs for pair in zip(ours, theirs, strict=True)]
    return max(abs(one.value - other.value) / max(1.0, abs(one.value)) for one, other in scores)


def main(keras: str, devices: int, where: str) -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    kit = Kit(importlib.import_module(keras))
    options = Options(distribution=Distribution.MIRRORED, data_in_memory=DataInMemory(where))
    results: dict[str, Any] = {}
    for name in KINDS:
        try:
            results[name] = difference(CASES[name], kit, options)
        except ConfigurationError as error:
            results[name] = str(error)
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
