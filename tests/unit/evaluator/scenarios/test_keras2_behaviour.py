"""What the Keras 2 class promises in its documentation, one test a promise, for Keras 3 and tf_keras.

Everything goes through `SidecarEvaluator(...).start()`; only the end of training is told by the
sentinel file where a promise is not about `max_evaluations`.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator import SidecarEvaluator
from sidecar_evaluator.discovery.change_waiter import DirectoryWaiter
from support.waiting import DEADLINE, once_inside, until
from unit.evaluator.support.models import BATCH, EXAMPLES, ModelFactory, arrays, dataset
from unit.evaluator.support.scored_metrics import two_in_one

BATCHES = EXAMPLES // BATCH


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="sidecar_evaluator")
    return caplog


def ends(log: pytest.LogCaptureFixture) -> list[dict[str, float]]:
    """Return the metrics of each log line that ends an evaluation."""
    lines = [line for line in log.messages if line.startswith("End of evaluation. Metrics: ")]
    pairs = [line.removeprefix("End of evaluation. Metrics: ").split() for line in lines]
    return [{name: float(value) for name, value in (pair.split("=") for pair in line)} for line in pairs]


def finish(directory: Path) -> None:
    (directory / "training.finished").touch()


def recorder(factory: ModelFactory) -> Any:
    class Recorder(factory.keras.callbacks.Callback):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[str] = []
            self.iterations: list[int] = []
            self.logs: list[dict[str, float]] = []

        def on_test_begin(self, logs: Any = None) -> None:
            self.calls.append("begin")
            self.iterations.append(int(self.model.optimizer.iterations.numpy()))

        def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.calls.append("batch begin")

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.calls.append("batch end")

        def on_test_end(self, logs: Any = None) -> None:
            self.calls.append("end")
            self.logs.append(dict(logs or {}))

    return Recorder()


def test_checkpoints_of_a_custom_training_loop_are_evaluated(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    scores = factory.save_by_manager(tmp_path)
    model = factory.model()
    SidecarEvaluator(model, dataset(), tmp_path, max_evaluations=1).start()
    assert ends(log) == [pytest.approx(scores[0], abs=1e-6)]


def test_checkpoints_of_model_fit_are_evaluated(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    scores = factory.save_by_callback(tmp_path)
    SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=1).start()
    assert ends(log) == [pytest.approx(scores[0], abs=1e-6)]


def test_the_weights_are_those_that_were_trained(factory: ModelFactory, tmp_path: Path) -> None:
    trained: list[Any] = []

    def build() -> Any:
        trained.append(factory.model())
        return trained[0]

    factory.save_by_manager(tmp_path, build=build)
    model = factory.model()
    SidecarEvaluator(model, dataset(), tmp_path, max_evaluations=1).start()
    for ours, theirs in zip(model.get_weights(), trained[0].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_subclassed_model_need_not_be_built(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    scores = factory.save_by_manager(tmp_path, build=factory.subclassed)
    SidecarEvaluator(factory.subclassed(), dataset(), tmp_path, max_evaluations=1).start()
    assert ends(log) == [pytest.approx(scores[0], abs=1e-6)]


def test_every_checkpoint_that_has_not_been_used_yet_starts_an_evaluation(
    factory: ModelFactory, tmp_path: Path, log: Any
) -> None:
    factory.save_by_callback(tmp_path / "made", epochs=3)
    (tmp_path / "seen").mkdir()
    publish = Publisher(tmp_path / "made", tmp_path / "seen")
    callback = recorder(factory)
    callback.on_test_end = lambda logs=None: publish()
    publish()
    SidecarEvaluator(factory.model(), dataset(), tmp_path / "seen", callbacks=[callback]).start()
    assert len(ends(log)) == 3


class Publisher:
    """Moves one finished checkpoint after the other to where it is looked for, then ends training."""

    def __init__(self, source: Path, target: Path) -> None:
        self.source, self.target, self.number = source, target, 0

    def __call__(self) -> None:
        self.number += 1
        files = sorted(self.source.glob(f"ckpt-{self.number}.*"))
        for path in files:
            path.rename(self.target / path.name)
        if not files:
            finish(self.target)


def test_it_always_picks_the_newest_checkpoint_and_may_skip_some(
    factory: ModelFactory, tmp_path: Path, log: Any
) -> None:
    scores = factory.save_by_manager(tmp_path, epochs=3)
    SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=3).start()
    assert ends(log) == [pytest.approx(scores[2], abs=1e-6)]


@pytest.mark.parametrize(("steps", "batches"), [(None, BATCHES), (2, 2)])
def test_an_evaluation_goes_over_all_data_or_over_steps_batches(
    steps: int | None, batches: int, factory: ModelFactory, tmp_path: Path
) -> None:
    factory.save_by_manager(tmp_path)
    callback = recorder(factory)
    SidecarEvaluator(factory.model(), dataset(), tmp_path, steps, 1, [callback]).start()
    assert callback.calls.count("batch end") == batches


def test_with_steps_the_data_may_be_endless(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    factory.save_by_manager(tmp_path)
    SidecarEvaluator(factory.model(), dataset().repeat(), tmp_path, steps=BATCHES, max_evaluations=1).start()
    assert len(ends(log)) == 1


def test_callbacks_are_called_around_evaluations_and_batches(factory: ModelFactory, tmp_path: Path) -> None:
    factory.save_by_manager(tmp_path)
    callback = recorder(factory)
    SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=1, callbacks=[callback]).start()
    assert callback.calls == ["begin", *["batch begin", "batch end"] * BATCHES, "end"]
    assert callback.logs[0].keys() == {"loss", "accuracy"}


@pytest.mark.parametrize("saver", ["save_by_manager", "save_by_callback"])
def test_callbacks_see_the_iterations_of_the_training(saver: str, factory: ModelFactory, tmp_path: Path) -> None:
    getattr(factory, saver)(tmp_path, epochs=2)
    callback = recorder(factory)
    SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=2, callbacks=[callback]).start()
    assert callback.iterations == [2 * BATCHES]


@pytest.mark.parametrize("maximum", [2, 3])
def test_it_stops_after_the_checkpoint_that_max_evaluations_names_or_a_later_one(
    maximum: int, factory: ModelFactory, tmp_path: Path, log: Any
) -> None:
    factory.save_by_manager(tmp_path, epochs=3)
    SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=maximum).start()
    assert len(ends(log)) == 1


def test_without_max_evaluations_it_goes_on(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    saved, watched = tmp_path / "saved", tmp_path / "watched"
    watched.mkdir()
    factory.save_by_manager(saved, epochs=2)
    evaluator = SidecarEvaluator(factory.model(), dataset(), watched)
    thread = threading.Thread(target=evaluator.start)
    thread.start()
    for number in (1, 2):
        for file in sorted(saved.glob(f"ckpt-{number}.*")):
            file.rename(watched / file.name)
        until(lambda number=number: len(ends(log)) == number)  # type: ignore[misc]
    assert thread.is_alive()
    finish(watched)
    thread.join(DEADLINE)
    assert not thread.is_alive()
    assert len(ends(log)) == 2


@pytest.mark.parametrize("saver", ["save_by_manager", "save_by_callback"])
def test_tensorboard_shows_every_metric_by_iterations_below_validation(
    saver: str, factory: ModelFactory, tmp_path: Path
) -> None:
    getattr(factory, saver)(tmp_path / "ckpt")
    board = factory.keras.callbacks.TensorBoard(log_dir=str(tmp_path / "logs"))
    SidecarEvaluator(factory.model(), dataset(), tmp_path / "ckpt", max_evaluations=1, callbacks=[board]).start()
    assert summaries(tmp_path / "logs" / "validation") == {
        ("evaluation_loss_vs_iterations", BATCHES),
        ("evaluation_accuracy_vs_iterations", BATCHES),
    }


def summaries(directory: Path) -> set[tuple[str, int]]:
    import tensorflow as tf

    tags = set()
    for path in directory.glob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            tags |= {(value.tag, event.step) for value in event.summary.value if value.tag.startswith("eval")}
    return tags


def test_metrics_whose_result_is_a_dict_are_flattened(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    def build() -> Any:
        return factory.compiled(factory.model(compiled=False), metrics=["accuracy", two_in_one(factory)])

    factory.save_by_manager(tmp_path, build=build)
    board = factory.keras.callbacks.TensorBoard(log_dir=str(tmp_path / "logs"))
    SidecarEvaluator(build(), dataset(), tmp_path, max_evaluations=1, callbacks=[board]).start()
    assert ends(log)[0].keys() == {"loss", "accuracy", "error_1", "error_2"}
    assert ends(log)[0]["error_2"] == pytest.approx(2 * ends(log)[0]["error_1"])
    assert len(summaries(tmp_path / "logs" / "validation")) == 4


def test_a_checkpoint_without_iterations_is_a_clear_error(factory: ModelFactory, tmp_path: Path) -> None:
    import tensorflow as tf

    tf.train.Checkpoint(model=factory.model(compiled=False)).save(str(tmp_path / "ckpt"))
    finish(tmp_path)
    with pytest.raises(RuntimeError, match="`iterations` cannot be loaded from the checkpoint"):
        SidecarEvaluator(factory.model(), dataset(), tmp_path).start()


@pytest.mark.parametrize("compiled_without_anything", [False, True])
def test_a_model_without_metrics_is_a_clear_error(
    compiled_without_anything: bool, factory: ModelFactory, tmp_path: Path
) -> None:
    model = factory.model(compiled=False)
    if compiled_without_anything:
        model.compile()
    with pytest.raises(ValueError, match=r"has no metrics; call model.compile"):
        SidecarEvaluator(model, dataset(), tmp_path).start()


@pytest.mark.parametrize("kind", ["dataset", "sequence", "generator"])
def test_any_data_that_evaluate_takes_will_do(kind: str, factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    scores = factory.save_by_manager(tmp_path)
    data = {"dataset": dataset, "sequence": lambda: sequence(factory), "generator": endless}[kind]()
    steps = BATCHES if kind == "generator" else None
    SidecarEvaluator(factory.model(), data, tmp_path, steps, 1).start()
    assert ends(log) == [pytest.approx(scores[0], abs=1e-5)]


def sequence(factory: ModelFactory) -> Any:
    base = factory.keras.utils.PyDataset if factory.is_keras3 else factory.keras.utils.Sequence

    class Batches(base):  # type: ignore[misc, valid-type]
        def __len__(self) -> int:
            return BATCHES

        def __getitem__(self, index: int) -> Any:
            x, y = arrays()
            part = slice(index * BATCH, (index + 1) * BATCH)
            return x[part], y[part]

    return Batches()


def endless() -> Any:
    while True:
        x, y = arrays()
        for at in range(0, EXAMPLES, BATCH):
            yield x[at : at + BATCH], y[at : at + BATCH]


class Repair(logging.Handler):
    """Repairs what could not be read at the moment when its reader says that it tries again."""

    def __init__(self, repair: Callable[[], object]) -> None:
        super().__init__()
        self.repair = repair

    def emit(self, record: logging.LogRecord) -> None:
        if "retrying" in record.getMessage():
            self.repair()


def test_a_read_that_failed_is_repeated(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    scores = factory.save_by_manager(tmp_path)
    shard = tmp_path / "ckpt-1.data-00000-of-00001"
    content = shard.read_bytes()
    shard.write_bytes(bytes(len(content)))
    repair = Repair(lambda: shard.write_bytes(content))
    logging.getLogger("sidecar_evaluator").addHandler(repair)
    SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=1).start()
    logging.getLogger("sidecar_evaluator").removeHandler(repair)
    assert any("retrying" in line for line in log.messages)
    assert ends(log) == [pytest.approx(scores[0], abs=1e-6)]


def test_attributes_set_before_start_are_what_counts(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    scores = factory.save_by_manager(tmp_path, epochs=2)
    callback = recorder(factory)
    evaluator = SidecarEvaluator(None, None, "elsewhere")
    evaluator.model, evaluator.data, evaluator.checkpoint_dir = factory.model(), dataset(), tmp_path
    evaluator.steps, evaluator.max_evaluations, evaluator.callbacks = BATCHES, 2, [callback]
    evaluator.start()
    assert ends(log) == [pytest.approx(scores[1], abs=1e-6)]
    assert callback.calls.count("batch end") == BATCHES


def test_the_model_then_holds_weights_iterations_and_metrics_of_the_last_checkpoint(
    factory: ModelFactory, tmp_path: Path
) -> None:
    scores = factory.save_by_manager(tmp_path, epochs=2)
    evaluator = SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=2)
    evaluator.start()
    assert int(evaluator.model.optimizer.iterations) == 2 * BATCHES
    results = {name: float(value) for name, value in evaluator.model.get_metrics_result().items()}
    assert results == pytest.approx(scores[1], abs=1e-6)
    assert factory.score(evaluator.model) == pytest.approx(scores[1], abs=1e-6)


def test_start_may_be_called_again(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    scores = factory.save_by_manager(tmp_path, epochs=2)
    evaluator = SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=2)
    evaluator.start()
    evaluator.max_evaluations, evaluator.steps = 1, 1
    evaluator.start()
    assert ends(log)[0] == pytest.approx(scores[1], abs=1e-6)
    assert len(ends(log)) == 2


def test_a_limit_of_zero_is_none(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    factory.save_by_manager(tmp_path)
    finish(tmp_path)
    SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=0).start()
    assert len(ends(log)) == 1


def test_a_model_without_an_optimizer_of_its_own_is_evaluated(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    scores = factory.save_by_manager(tmp_path)
    model = factory.model(compiled=False)
    loss = factory.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["accuracy"], jit_compile=False)
    SidecarEvaluator(model, dataset(), tmp_path, max_evaluations=1).start()
    assert ends(log) == [pytest.approx(scores[0], abs=1e-6)]


def test_the_directory_need_not_exist_yet(factory: ModelFactory, tmp_path: Path, log: Any) -> None:
    scores = factory.save_by_manager(tmp_path / "made")
    evaluator = SidecarEvaluator(factory.model(), dataset(), tmp_path / "ckpt", max_evaluations=1)
    with once_inside(DirectoryWaiter.wait, lambda: (tmp_path / "made").rename(tmp_path / "ckpt")):
        evaluator.start()
    assert ends(log) == [pytest.approx(scores[0], abs=1e-6)]
