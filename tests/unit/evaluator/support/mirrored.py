"""Scores models and data of many kinds on several devices and on one, for a test that runs it in another process.

How many devices TensorFlow has is settled once in a process, so that `differences` can be called once.
"""

import importlib
import threading
from collections.abc import Sequence
from typing import Any

from sidecar_evaluator.engine.apply_options import strategy_scope
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.options import DataInMemory, Distribution, Options
from unit.evaluator.engine.test_scoring import checkpoints
from unit.evaluator.support.models import ModelFactory
from unit.evaluator.support.scored_models import CASES, Case

OF_EACH_DATA = ("steps", "batches of any size", "arrays", "weighted dataset", "two heads", "a Sequence")
OF_EACH_KIND = (
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


def evaluation_of(case: Case, factory: ModelFactory, options: Options) -> tuple[Any, ModelEvaluator]:
    with strategy_scope(options):
        model = case.model(factory)
        evaluation = ModelEvaluator(Evaluation(model, case.data(factory), case.steps), threading.Event(), options)
        evaluation.prepare()
    return model, evaluation


def difference(case: Case, factory: ModelFactory, options: Options) -> float:
    model, alone = evaluation_of(case, factory, Options())
    _, together = evaluation_of(case, factory, options)
    loaded = checkpoints(model)
    expected = alone.score(loaded)
    pairs = [pair for _ in range(2) for pair in zip(expected, together.score(loaded), strict=True)]
    scores = [pair for ours, theirs in pairs for pair in zip(ours, theirs, strict=True)]
    return max(abs(one.value - other.value) / max(1.0, abs(one.value)) for one, other in scores)


def differences(keras: str, devices: int, where: str, kinds: Sequence[str]) -> dict[str, float | str]:
    """Return by kind the largest difference of any score, or the error's message."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    factory = ModelFactory(importlib.import_module(keras))
    options = Options(distribution=Distribution.MIRRORED, data_in_memory=DataInMemory(where))
    results: dict[str, float | str] = {}
    for name in kinds:
        try:
            results[name] = difference(CASES[name], factory, options)
        except ConfigurationError as error:
            results[name] = str(error)
    return results
