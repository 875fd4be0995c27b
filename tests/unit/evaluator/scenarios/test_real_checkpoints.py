"""Real models and real checkpoints: what fits, what does not, and what the scores are."""

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError, Stopped
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.outcome import OutcomeKind, Reason
from unit.evaluator.support.fakes import checkpoint
from unit.evaluator.support.models import BATCH, EXAMPLES, ModelFactory, arrays, dataset

Evaluate = Callable[..., Results]
BATCHES = EXAMPLES // BATCH


@pytest.mark.parametrize("saver", ["save_by_manager", "save_by_callback"])
@pytest.mark.parametrize("statistics", [True, False])
def test_scores_and_steps_are_those_of_the_training(
    saver: str, statistics: bool, factory: ModelFactory, tmp_path: Path, evaluate_all: Evaluate
) -> None:
    def build() -> Any:
        return factory.model(frozen_statistics=statistics)

    expected = getattr(factory, saver)(tmp_path, epochs=2, build=build)
    history = evaluate_all(Evaluation(build(), dataset())).history
    assert [outcome.step for outcome in reversed(history)] == [BATCHES, 2 * BATCHES]
    for outcome, scores in zip(reversed(history), expected, strict=True):
        assert {score.name: score.value for score in outcome.scores} == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize("saver", ["save_by_manager", "save_by_callback"])
@pytest.mark.parametrize("trained", [(9, 1), (8, 2)])
def test_another_architecture_is_incompatible_and_named(
    saver: str, trained: tuple[int, int], factory: ModelFactory, tmp_path: Path, evaluate_all: Evaluate
) -> None:
    width, depth = trained
    getattr(factory, saver)(tmp_path, build=lambda: factory.model(width, depth=depth))
    model = factory.model()
    before = model.get_weights()
    (outcome,) = evaluate_all(Evaluation(model, dataset())).history
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, Reason.INCOMPATIBLE)
    assert "another architecture" in outcome.message
    assert re.search(
        r"(kernel|gamma|bias)\S* is (not|\[\d.*\]) in the (model|checkpoint)|\] is not in", outcome.message
    )
    for ours, untouched in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, untouched)


@pytest.mark.parametrize("saver", ["save_by_manager", "save_by_callback"])
def test_a_deeper_model_than_the_trained_one_is_incompatible(
    saver: str, factory: ModelFactory, tmp_path: Path, evaluate_all: Evaluate
) -> None:
    getattr(factory, saver)(tmp_path)
    (outcome,) = evaluate_all(Evaluation(factory.model(depth=2), dataset())).history
    assert outcome.reason is Reason.INCOMPATIBLE


def test_a_truncated_shard_is_unreadable_in_the_end(
    factory: ModelFactory, tmp_path: Path, evaluate_all: Evaluate
) -> None:
    factory.save_by_manager(tmp_path, epochs=2)
    shard = tmp_path / "ckpt-2.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-200])
    newest, older = evaluate_all(Evaluation(factory.model(), dataset())).history
    assert (newest.reason, older.kind) == (Reason.UNREADABLE, OutcomeKind.EVALUATED)


def test_flipped_bits_are_noticed(factory: ModelFactory, tmp_path: Path, evaluate_all: Evaluate) -> None:
    factory.save_by_manager(tmp_path, build=lambda: factory.model(frozen_statistics=False))
    shard = tmp_path / "ckpt-1.data-00000-of-00001"
    shard.write_bytes(bytes(byte ^ 1 for byte in shard.read_bytes()))
    (outcome,) = evaluate_all(Evaluation(factory.model(frozen_statistics=False), dataset())).history
    assert outcome.reason is Reason.UNREADABLE


def test_mixed_precision_keeps_its_counter_in_the_inner_optimizer(
    factory: ModelFactory, tmp_path: Path, evaluate_all: Evaluate
) -> None:
    def build() -> Any:
        scaled = factory.keras.mixed_precision.LossScaleOptimizer(factory.keras.optimizers.Adam())
        return factory.compiled(factory.model(compiled=False), optimizer=scaled)

    factory.save_by_manager(tmp_path, build=build)
    factory.save_by_callback(tmp_path / ".", build=build)
    assert {outcome.step for outcome in evaluate_all(Evaluation(build(), dataset())).history} == {BATCHES}


def test_weights_of_an_uncompiled_model_take_the_step_from_the_name(
    factory: ModelFactory, tmp_path: Path, evaluate_all: Evaluate
) -> None:
    factory.model(compiled=False).save_weights(str(tmp_path / "ckpt-70.weights.h5"))
    factory.model(compiled=False).save_weights(str(tmp_path / "last.weights.h5"))
    history = evaluate_all(Evaluation(factory.model(), dataset())).history
    assert {outcome.checkpoint: outcome.step for outcome in history} == {"ckpt-70": 70, "last": None}


def test_named_datasets_are_scored_one_after_the_other(
    factory: ModelFactory, tmp_path: Path, evaluate_all: Evaluate
) -> None:
    (expected,) = factory.save_by_manager(tmp_path)
    data = {"val": dataset(), "test": dataset(5), "arrays": arrays()}
    (outcome,) = evaluate_all(Evaluation(factory.model(), data)).history
    by_dataset = {name: {s.name: s.value for s in outcome.scores if s.dataset == name} for name in data}
    assert by_dataset["val"] == pytest.approx(expected, abs=1e-6)
    assert by_dataset["arrays"]["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)
    assert by_dataset["test"] != by_dataset["val"]


def test_a_stop_ends_an_evaluation_between_two_batches(factory: ModelFactory) -> None:
    stop = threading.Event()

    class Stopper(factory.keras.callbacks.Callback):  # type: ignore[name-defined, misc]
        calls = 0

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.calls += 1
            stop.set()

    stopper = Stopper()
    model = factory.model()
    evaluation = ModelEvaluator(Evaluation(model, dataset(), callbacks=[stopper]), stop)
    evaluation.prepare()
    with pytest.raises(Stopped):
        evaluation.score([Loaded(checkpoint("ckpt-7"), Weights(model.get_weights(), None))])
    assert stopper.calls == 1


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        (lambda factory: Evaluation("model", None), "is a str; return a Keras model"),
        (lambda factory: Evaluation(factory.model(compiled=False), dataset()), "has no metrics"),
        (lambda factory: Evaluation(factory.model(), iter(dataset())), "can be read only once"),
        (lambda factory: Evaluation(factory.model(), dataset().repeat()), "is infinite; set steps"),
        (
            lambda factory: Evaluation(factory.subclassed(), "no data"),
            "cannot be evaluated on the data of dataset default",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_a_configuration_error(
    evaluation: Callable[[ModelFactory], Evaluation], message: str, factory: ModelFactory
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ModelEvaluator(evaluation(factory), threading.Event()).prepare()


def test_the_metrics_of_the_training_need_not_be_those_of_the_evaluation(
    factory: ModelFactory, tmp_path: Path, evaluate_all: Evaluate
) -> None:
    factory.save_by_callback(tmp_path, epochs=2)
    model = factory.compiled(factory.model(compiled=False), metrics=["sparse_categorical_crossentropy"])
    history = evaluate_all(Evaluation(model, dataset())).history
    assert [outcome.kind for outcome in history] == [OutcomeKind.EVALUATED] * 2


def test_a_legacy_optimizer_of_tf_keras_keeps_its_counter_under_another_name(
    tmp_path: Path, evaluate_all: Evaluate
) -> None:
    import tf_keras

    factory = ModelFactory(tf_keras)
    legacy = tf_keras.optimizers.legacy.Adam()
    factory.save_by_callback(tmp_path, build=lambda: factory.compiled(factory.model(compiled=False), optimizer=legacy))
    (outcome,) = evaluate_all(Evaluation(factory.model(), dataset())).history
    assert outcome.step == BATCHES
