"""Precision and distribution: applied while the entry point builds the model, and checked afterwards."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.engine.apply_options import apply_precision, strategy_scope
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.options import Distribution, Options, Precision
from support.waiting import DEADLINE
from unit.evaluator.engine.test_scoring import by_engine, checkpoints
from unit.evaluator.support import mirrored
from unit.evaluator.support.mirrored import OF_EACH_DATA, OF_EACH_KIND
from unit.evaluator.support.models import ModelFactory, dataset

TESTS = Path(__file__).parents[3]
Differences = Callable[..., dict[str, float | str]]
MIXED = {Precision.MIXED_FLOAT16: "float16", Precision.MIXED_BFLOAT16: "bfloat16"}
REFUSED_OF_KERAS_2 = {
    "scores of the last batch": "returns more than its metrics",
    "a metric that keeps predictions in Python": "calls Python functions or changes tables",
}
REFUSED = REFUSED_OF_KERAS_2 | {"a Sequence": "cannot be evaluated on several devices"}


@contextlib.contextmanager
def precision(options: Options) -> Iterator[None]:
    apply_precision(options)
    try:
        yield
    finally:
        for name in ("keras", "tf_keras"):
            if name in sys.modules:
                sys.modules[name].mixed_precision.set_global_policy("float32")


def prepared(model: Any, options: Options) -> ModelEvaluator:
    evaluation = ModelEvaluator(Evaluation(model, dataset()), threading.Event(), options)
    evaluation.prepare()
    return evaluation


@pytest.mark.parametrize("wanted", MIXED)
def test_models_that_are_built_under_it_compute_in_mixed_precision(wanted: Precision, factory: ModelFactory) -> None:
    plain = factory.model()
    loaded = checkpoints(plain)[:2]
    expected = by_engine(prepared(plain, Options()), loaded)
    options = Options(precision=wanted)
    with precision(options):
        model = factory.model()
        evaluation = prepared(model, options)
    assert model.layers[-1].compute_dtype == MIXED[wanted]
    assert {weight.dtype.name if hasattr(weight.dtype, "name") else weight.dtype for weight in model.weights} == {
        "float32"
    }
    for ours, theirs in zip(by_engine(evaluation, loaded), expected, strict=True):
        assert ours != theirs
        assert ours == pytest.approx(theirs, abs=0.05)


@pytest.mark.parametrize("wanted", MIXED)
def test_a_model_that_was_built_before_has_not_followed(wanted: Precision, factory: ModelFactory) -> None:
    model = factory.model()
    options = Options(precision=wanted)
    with (
        precision(options),
        pytest.raises(ConfigurationError, match=f"computes in {MIXED[wanted]}; build the model inside the entry point"),
    ):
        prepared(model, options)


def test_a_model_without_layers_of_its_own_kind_still_tells_its_precision(factory: ModelFactory) -> None:
    options = Options(precision=Precision.MIXED_BFLOAT16)
    with precision(options):
        prepared(factory.subclassed(), options)


def test_with_one_device_nothing_is_distributed(factory: ModelFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    options = Options(distribution=Distribution.MIRRORED)
    with strategy_scope(options):
        model = factory.model()
    prepared(model, options)
    assert "There is only one device, so the evaluation is not distributed." in caplog.messages


@pytest.fixture(scope="module")
def differences() -> Differences:
    """Return a function whose calls have a process each: how many devices there are is settled once in one.

    They are forked by a process that has imported TensorFlow and has run nothing with it.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["tensorflow", "keras", "tf_keras"])

    def call(*arguments: Any) -> dict[str, float | str]:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(mirrored.differences, *arguments).result(DEADLINE)

    return call


@pytest.mark.parametrize(
    ("setting", "kinds", "refused"),
    [
        (("keras", 2, "None"), OF_EACH_KIND, REFUSED),
        (("keras", 3, "Device"), OF_EACH_DATA, REFUSED),
        (("tf_keras", 2, "Host"), OF_EACH_KIND, REFUSED_OF_KERAS_2),
    ],
    ids=["Keras 3 on two devices", "data on three devices", "tf_keras on two devices"],
)
def test_several_devices_give_the_scores_of_one(
    setting: tuple[str, int, str], kinds: Sequence[str], refused: dict[str, str], differences: Differences
) -> None:
    by_kind = differences(*setting, kinds)
    assert list(by_kind) == list(kinds)
    for name, difference in by_kind.items():
        if name in refused:
            assert refused[name] in str(difference), name
        else:
            assert isinstance(difference, float), f"{name}: {difference}"
            assert difference < 1e-6, name


def test_keras_with_another_library_is_scored_by_its_own_evaluate() -> None:
    """In a process of its own: the backend is chosen when Keras is imported."""
    code = """
import threading
import keras
from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from unit.evaluator.support.fakes import checkpoint
from unit.evaluator.support.models import ModelFactory, arrays
model = ModelFactory(keras).model()
evaluation = ModelEvaluator(Evaluation(model, arrays()), threading.Event())
evaluation.prepare()
loaded = Loaded(checkpoint("ckpt-7"), Weights(model.get_weights(), None))
scores = [{score.name: score.value for score in row} for row in evaluation.score([loaded, loaded])]
assert keras.backend.backend() == "jax"
assert scores == [model.evaluate(*arrays(), verbose=0, return_dict=True)] * 2, scores
assert int(model.optimizer.iterations) == 7
"""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=DEADLINE)


def test_a_model_outside_the_scope_is_a_configuration_error(
    factory: ModelFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sidecar_evaluator.engine import apply_options

    monkeypatch.setattr(apply_options, "_devices", lambda: ["GPU:0", "GPU:1"])
    with pytest.raises(ConfigurationError, match="was not built for several devices; build it inside the entry point"):
        prepared(factory.model(), Options(distribution=Distribution.MIRRORED))
