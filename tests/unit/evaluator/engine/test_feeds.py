"""Where data is cached, when that is refused, and what happens when memory is short."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from sidecar_evaluator.engine import memory
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.errors import ConfigurationError, Stopped
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.options import DataInMemory, Options
from unit.evaluator.engine.test_scoring import by_engine, checkpoints
from unit.evaluator.support.models import BATCH, ModelFactory, arrays, dataset
from unit.evaluator.support.scored_models import UNEVEN, batches_of, over_ragged, ragged, uneven

KEPT = [DataInMemory.HOST, DataInMemory.DEVICE]
BATCH_BYTES = BATCH * (4 * 4 + 4)


class Reads:
    """A dataset that counts how often its rows are read."""

    def __init__(self, examples: int = UNEVEN) -> None:
        self.count = 0
        self._examples = examples

    def data(self) -> Any:
        import tensorflow as tf

        def note(x: Any, y: Any) -> Any:
            self.count += 1
            return x, y

        def row(x: Any, y: Any) -> Any:
            noted_x, noted_y = tf.numpy_function(note, [x, y], [tf.float32, tf.int32])
            return tf.ensure_shape(noted_x, [4]), tf.ensure_shape(noted_y, [])

        return tf.data.Dataset.from_tensor_slices(arrays(3, self._examples)).map(row).batch(BATCH)


def evaluation_of(factory: ModelFactory, data: Any, **options: Any) -> tuple[Any, ModelEvaluator]:
    model = factory.model()
    evaluation = ModelEvaluator(Evaluation(model, data), threading.Event(), Options(**options))
    evaluation.prepare()
    return model, evaluation


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Say how many bytes are free."""
    return lambda size: monkeypatch.setattr(memory, "available", lambda *_: size)


@pytest.mark.parametrize("where", KEPT)
def test_kept_data_is_read_once(where: DataInMemory, factory: ModelFactory) -> None:
    reads = Reads()
    model, evaluation = evaluation_of(factory, reads.data(), data_in_memory=where)
    loaded = checkpoints(model)
    for one in loaded:
        by_engine(evaluation, [one])
    assert reads.count == UNEVEN


def test_data_is_read_once_for_all_checkpoints_of_a_pass(factory: ModelFactory) -> None:
    reads = Reads()
    model, evaluation = evaluation_of(factory, reads.data())
    by_engine(evaluation, checkpoints(model))
    assert reads.count == UNEVEN
    by_engine(evaluation, checkpoints(model)[:1])
    assert reads.count == 2 * UNEVEN


@pytest.mark.parametrize("where", KEPT)
def test_a_pass_that_is_stopped_keeps_nothing(where: DataInMemory, factory: ModelFactory) -> None:
    stop, stops = threading.Event(), iter([True])
    model = factory.model()

    def progress(_done: int, _total: int | None) -> None:
        if next(stops, False):
            stop.set()

    evaluation = ModelEvaluator(Evaluation(model, uneven(factory)), stop, Options(data_in_memory=where), progress)
    evaluation.prepare()
    loaded = checkpoints(model)[:1]
    with pytest.raises(Stopped):
        evaluation.score(loaded)
    stop.clear()
    plain = ModelEvaluator(Evaluation(model, uneven(factory)), threading.Event())
    plain.prepare()
    expected = by_engine(plain, loaded)[0]
    assert by_engine(evaluation, loaded)[0] == pytest.approx(expected, abs=1e-6)
    assert by_engine(evaluation, loaded)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("where", KEPT)
def test_what_does_not_fit_into_memory_is_read_again(
    where: DataInMemory, factory: ModelFactory, free: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    reads = Reads()
    model, evaluation = evaluation_of(factory, reads.data(), data_in_memory=where)
    free(BATCH_BYTES)
    loaded = checkpoints(model)
    for one in loaded:
        by_engine(evaluation, [one])
    assert reads.count == len(loaded) * UNEVEN
    assert sum("is read again for each checkpoint: memory is short" in line for line in caplog.messages) == 1


def test_batches_of_different_widths_do_not_go_to_the_device(
    factory: ModelFactory, caplog: pytest.LogCaptureFixture
) -> None:
    import tensorflow as tf

    def row(at: Any) -> Any:
        return tf.ones([2 + at // BATCH, 1]) * tf.cast(at, tf.float32), at % 2

    layers = factory.keras.layers
    pooled = [layers.Input((None, 1)), layers.GlobalAveragePooling1D(), layers.Dense(2)]
    data, model = (
        tf.data.Dataset.range(3 * BATCH).map(row).batch(BATCH),
        factory.compiled(factory.keras.Sequential(pooled)),
    )
    options = Options(data_in_memory=DataInMemory.DEVICE)
    evaluation = ModelEvaluator(Evaluation(model, data), threading.Event(), options)
    evaluation.prepare()
    loaded = checkpoints(model)[:1]
    assert by_engine(evaluation, loaded) == by_engine(evaluation, loaded)
    assert evaluation.examples == 6 * BATCH
    assert any("cannot be stored on the device" in line for line in caplog.messages)


def test_arrays_that_do_not_fit_twice_are_left_to_keras(factory: ModelFactory, free: Callable[[int], None]) -> None:
    free(100)
    model, evaluation = evaluation_of(factory, arrays(3, UNEVEN))
    by_engine(evaluation, checkpoints(model)[:1])
    assert evaluation.examples == 0


def test_ragged_batches_cannot_be_rows_on_the_device(factory: ModelFactory) -> None:
    evaluation = ModelEvaluator(
        Evaluation(over_ragged(factory), ragged(factory)),
        threading.Event(),
        Options(data_in_memory=DataInMemory.DEVICE),
    )
    with pytest.raises(ConfigurationError, match="are not dense tensors; keep them in memory on the Host"):
        evaluation.prepare()


def test_what_only_keras_can_read_is_not_kept_and_that_is_said(
    factory: ModelFactory, caplog: pytest.LogCaptureFixture
) -> None:
    evaluation_of(factory, batches_of(factory), data_in_memory=DataInMemory.HOST)
    assert any("is not kept in memory: model.evaluate reads it" in line for line in caplog.messages)


def test_data_that_ends_before_its_steps_is_scored_and_that_is_said(
    factory: ModelFactory, caplog: pytest.LogCaptureFixture
) -> None:
    model = factory.model()
    evaluation = ModelEvaluator(Evaluation(model, uneven(factory), steps=50), threading.Event())
    evaluation.prepare()
    plain = ModelEvaluator(Evaluation(model, uneven(factory)), threading.Event())
    plain.prepare()
    loaded = checkpoints(model)[:1]
    assert by_engine(evaluation, loaded) == by_engine(plain, loaded)
    assert "The data ends after 6 batches, although steps is 50." in caplog.messages


def test_data_without_a_batch_gives_no_scores(factory: ModelFactory) -> None:
    model, evaluation = evaluation_of(factory, dataset().filter(lambda x, y: False))
    assert evaluation.score(checkpoints(model)) == [(), (), ()]
    assert evaluation.score(checkpoints(model)[:1]) == [()]


@pytest.mark.parametrize(
    ("waiting", "weights", "most", "expected"),
    [(5, 1, 8, 5), (20, 1, 8, 8), (20, 1, 1, 1), (1, 1, 8, 1), (20, 1000, 8, 2), (20, 10**9, 8, 1), (20, 0, 8, 8)],
)
def test_a_pass_is_as_large_as_half_of_the_memory_allows(
    waiting: int, weights: int, most: int, expected: int, free: Callable[[int], None]
) -> None:
    import keras

    factory = ModelFactory(keras)
    _, evaluation = evaluation_of(factory, uneven(factory), checkpoints_per_pass=most)
    free(10_000)
    assert evaluation.pass_size(waiting, weights) == expected


@pytest.mark.parametrize("reason", ["callbacks", "arrays", "sequence"])
def test_a_pass_is_for_one_checkpoint_where_several_would_gain_nothing(reason: str, factory: ModelFactory) -> None:
    data = {"callbacks": uneven, "arrays": lambda _: arrays(), "sequence": batches_of}[reason](factory)
    callbacks = [factory.keras.callbacks.Callback()] if reason == "callbacks" else None
    evaluation = ModelEvaluator(Evaluation(factory.model(), data, callbacks=callbacks), threading.Event())
    evaluation.prepare()
    assert evaluation.pass_size(8, 1) == 1


def test_without_memory_for_several_they_are_scored_one_by_one(
    factory: ModelFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import tensorflow as tf

    from sidecar_evaluator.engine.dataset_pass import DatasetPass

    def exhausted(*_: Any) -> Any:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    model, evaluation = evaluation_of(factory, uneven(factory))
    loaded = checkpoints(model)
    expected = by_engine(evaluation, loaded)
    monkeypatch.setattr(DatasetPass, "score_together", exhausted)
    assert by_engine(evaluation, loaded) == [pytest.approx(scores, abs=1e-6) for scores in expected]
    assert evaluation.pass_size(8, 1) == 1
    assert any("scored one by one from now on" in line for line in caplog.messages)
