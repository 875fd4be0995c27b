"""Callbacks and what they see are as under `model.evaluate`; a callback of every batch gets every batch."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint, FileState, Weights
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.evaluator import Loaded, ModelEvaluator
from unit.evaluator.conftest import KERAS_AND_NUMPY
from unit.evaluator.engine.test_scoring import checkpoints
from unit.evaluator.support.fakes import FORMAT
from unit.evaluator.support.models import ModelFactory, arrays, dataset
from unit.evaluator.support.scored_metrics import dict_metric
from unit.evaluator.support.scored_models import (
    Case,
    last_batch_step,
    plain,
    several_optimizers,
    two_heads,
    two_heads_data,
    uneven,
)


def recorder(factory: ModelFactory, *, every_batch: bool = False) -> Any:
    class Recorder(factory.keras.callbacks.Callback):  # type: ignore[name-defined, misc]
        evaluated_checkpoint: Checkpoint | None = None
        evaluated_dataset = ""

        def __init__(self) -> None:
            super().__init__()
            self.calls: list[Any] = []

        def on_test_begin(self, logs: Any = None) -> None:
            self.calls.append(("begin", int(self.model.optimizer.iterations.numpy()), dict(self.params)))

        def on_test_end(self, logs: Any = None) -> None:
            self.calls.append(("end", logs))

    class EveryBatch(Recorder):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.calls.append(("batch", batch))

    return EveryBatch() if every_batch else Recorder()


def scored(model: Any, data: Any, callbacks: Sequence[Any], loaded: Sequence[Loaded]) -> ModelEvaluator:
    evaluation = ModelEvaluator(Evaluation(model, data, callbacks=callbacks), threading.Event())
    evaluation.prepare()
    evaluation.score(loaded)
    return evaluation


CASES = [Case(plain, uneven), Case(dict_metric, uneven), Case(two_heads, two_heads_data), Case(last_batch_step, uneven)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.model.__name__)
def test_callbacks_see_what_evaluate_shows_them(case: Case, factory: ModelFactory) -> None:
    model, data = case.model(factory), case.data(factory)
    ours, theirs = recorder(factory), recorder(factory)
    loaded = checkpoints(model)
    assert scored(model, data, [ours], loaded).examples > 0
    for one in loaded:
        model.set_weights(one.weights.values)
        model.optimizer.iterations.assign(one.step)
        data_arguments = dict(zip(("x", "y"), data, strict=False)) if isinstance(data, tuple) else {"x": data}
        model.evaluate(**data_arguments, verbose=0, callbacks=[theirs])
    assert len(ours.calls) == len(theirs.calls) == 2 * len(loaded)
    for (hook, *arguments), (expected_hook, *expected) in zip(ours.calls, theirs.calls, strict=True):
        assert hook == expected_hook
        if hook == "begin":
            assert arguments == expected
        else:
            assert list(arguments[0]) == list(expected[0])
            assert [type(value) for value in arguments[0].values()] == [type(value) for value in expected[0].values()]
            assert flat(arguments[0]) == pytest.approx(flat(expected[0]), abs=1e-6)


def flat(logs: Any) -> dict[str, Any]:
    nested = (item if isinstance(item, dict) else {name: item} for name, item in logs.items())
    return {name: value for level in nested for name, value in level.items()}


def test_a_callback_of_every_batch_is_called_for_every_batch(factory: ModelFactory) -> None:
    model, callback = factory.model(), recorder(factory, every_batch=True)
    scored(model, dataset(), [callback], checkpoints(model)[:1])
    assert [call for call in callback.calls if call[0] == "batch"] == [("batch", at) for at in range(4)]


def test_each_of_several_optimizers_has_the_iterations_of_the_training() -> None:
    import tf_keras

    model = several_optimizers(ModelFactory(tf_keras))
    scored(model, dataset(), [], checkpoints(model)[1:2])
    assert [int(optimizer.iterations) for optimizer in model.optimizer] == [10, 10]


def test_a_hook_that_was_set_on_the_callback_itself_is_called(factory: ModelFactory) -> None:
    model, callback, batches = factory.model(), factory.keras.callbacks.Callback(), []
    callback.on_test_batch_begin = lambda batch, logs=None: batches.append(batch)
    scored(model, dataset(), [callback], checkpoints(model)[:1])
    assert batches == [0, 1, 2, 3]


def test_callbacks_are_told_which_checkpoint_and_which_dataset(factory: ModelFactory) -> None:
    model, callback = factory.model(), recorder(factory)
    notes: list[Any] = []
    callback.on_test_end = lambda logs=None: notes.append((callback.evaluated_checkpoint, callback.evaluated_dataset))
    checkpoint = Checkpoint("ckpt-3", Path("ckpt-3"), FORMAT, (FileState("ckpt-3", 1, 1),))
    loaded = Loaded(checkpoint, Weights(model.get_weights(), None))
    scored(model, {"val": dataset(), "test": arrays(5)}, [callback], [loaded])
    assert notes == [(checkpoint, "val"), (checkpoint, "test")]


@pytest.mark.filterwarnings(KERAS_AND_NUMPY)
def test_a_model_may_come_with_the_first_archive(tmp_path: Path) -> None:
    import keras

    from sidecar_evaluator.discovery.directory import Directory

    factory = ModelFactory(keras)
    trained = factory.model()
    trained.fit(dataset(1), shuffle=False, verbose=0)
    trained.save(tmp_path / "ckpt-1.keras")
    evaluation = ModelEvaluator(Evaluation(None, dataset()), threading.Event())
    evaluation.prepare()
    assert evaluation.pass_size(8, 1) == 1
    with pytest.raises(ConfigurationError, match="There is no model"):
        evaluation.score([])
    (checkpoint,) = checkpoints_in(Directory(tmp_path))
    ((loss, accuracy),) = evaluation.score([Loaded(checkpoint, evaluation.read(checkpoint))])
    expected = factory.score(trained)
    assert {score.name: score.value for score in (loss, accuracy)} == pytest.approx(expected, abs=1e-6)


def checkpoints_in(directory: Any) -> Sequence[Checkpoint]:
    """List the directory twice: a file is complete once two listings show the same state."""
    directory.look()
    checkpoints: Sequence[Checkpoint] = directory.look().checkpoints
    return checkpoints


def test_without_a_model_other_checkpoints_are_a_configuration_error(tmp_path: Path) -> None:
    evaluation = ModelEvaluator(Evaluation(None, dataset()), threading.Event())
    evaluation.prepare()
    with pytest.raises(ConfigurationError, match="returns no model, and ckpt-3 is no Keras archive"):
        evaluation.read(Checkpoint("ckpt-3", tmp_path / "ckpt-3", FORMAT, ()))


def test_export_writes_the_weights_that_were_given(factory: ModelFactory, tmp_path: Path) -> None:
    model, other = factory.model(), factory.model()
    loaded = checkpoints(model)
    evaluation = scored(model, dataset(), [], loaded)
    evaluation.export(loaded[1].weights, tmp_path / "best.weights.h5")
    other.load_weights(str(tmp_path / "best.weights.h5"))
    for ours, theirs in zip(other.get_weights(), loaded[1].weights.values, strict=True):
        assert (ours == theirs).all()
