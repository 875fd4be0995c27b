"""Checkpoints on the way through a bucket: training saves on one mount, the evaluator looks at another.

The latencies are printed at the end of the test run; no test depends on them.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from cluster.programs import Programs
from mounts.checkpoints import Specimens, save_orbax
from mounts.evaluating import SENTINEL, Running, Scorer, scores_of
from mounts.stores import MOUNTS, Store, store
from mounts.training import model_factory, small_model
from sidecar_evaluator.results.ledger import EndReason
from sidecar_evaluator.results.outcome import OutcomeKind
from support.waiting import until
from unit.evaluator.support.models import dataset

NUMBERS = itertools.count()
Record = Callable[[str, object], None]


@pytest.fixture(scope="module", params=sorted(MOUNTS))
def bucket(
    request: pytest.FixtureRequest, programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Return a bucket behind each kind of mount in turn."""
    with store(request.param, programs, tmp_path_factory.mktemp("store")) as bucket:
        yield bucket


@dataclass
class Training:
    """A training that saves on its own mount; `saved` holds the name, time and scores of each checkpoint."""

    folder: Path
    max_to_keep: int
    saved: dict[str, tuple[float, dict[str, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import tensorflow as tf

        self.model = small_model(seed=1)
        state = tf.train.Checkpoint(model=self.model, optimizer=self.model.optimizer)
        self.manager = tf.train.CheckpointManager(state, str(self.folder), max_to_keep=self.max_to_keep)

    def save(self) -> str:
        """Train a little and save; return the checkpoint's name."""
        self.model.fit(dataset(1), shuffle=False, verbose=0)
        name = Path(self.manager.save()).name
        self.saved[name] = (time.monotonic(), model_factory().score(self.model))
        return name

    def finish(self) -> None:
        """Say that training has ended."""
        (self.folder / SENTINEL).touch()


def delays(training: Training, scorer: Scorer) -> str:
    """Return how long after the save each checkpoint was noticed, in words; before it counts as at once."""
    seconds = [max(scorer.noticed[name] - saved, 0.0) for name, (saved, _) in training.saved.items()]
    listed = " ".join(f"{delay:.2f}" for delay in seconds)
    return f"noticed {median(seconds):.2f} s (median), {max(seconds):.2f} s (worst) after the save returned: {listed}"


def test_every_checkpoint_is_noticed_and_none_is_missed(bucket: Store, scorer: Scorer, record_property: Record) -> None:
    """The evaluator looks before training has made the directory; its state file is overwritten each time."""
    name = f"run-{next(NUMBERS)}"
    with Running(bucket.evaluator / name, scorer, speed=1) as running:
        running.wait(lambda: running.looks > 3, "looks before there is a directory")
        training = Training(bucket.training / name, max_to_keep=2)
        for _ in range(6):
            saved = training.save()
            assert scores_of(running.outcome(saved)) == pytest.approx(training.saved[saved][1], abs=1e-6)
        training.finish()
        results = running.finish()
    assert [outcome.checkpoint for outcome in running.outcomes] == list(training.saved)
    assert results.ended is not None
    assert results.ended.reason is EndReason.TRAINING_FINISHED
    record_property("measured", f"{bucket.name}: {delays(training, scorer)}")


def test_what_training_deletes_first_is_gone_and_the_last_is_evaluated(bucket: Store, scorer: Scorer) -> None:
    """Training saves without a pause and keeps one."""
    name = f"run-{next(NUMBERS)}"
    training = Training(bucket.training / name, max_to_keep=1)
    training.save()
    with Running(bucket.evaluator / name, scorer, speed=1) as running:
        running.outcome("ckpt-1")
        for _ in range(8):
            last = training.save()
        training.finish()
        running.finish()
    kinds = {outcome.checkpoint: outcome.kind for outcome in running.outcomes}
    assert kinds.keys() <= training.saved.keys()
    assert set(kinds.values()) <= {OutcomeKind.EVALUATED, OutcomeKind.GONE}
    assert kinds[last] is OutcomeKind.EVALUATED
    for outcome in running.outcomes:
        if outcome.kind is OutcomeKind.EVALUATED:
            assert scores_of(outcome) == pytest.approx(training.saved[outcome.checkpoint][1], abs=1e-6)


@pytest.mark.parametrize("format_name", ["TensorFlow", "KerasWeights", "Keras"])
def test_every_format_comes_through(bucket: Store, scorer: Scorer, specimens: Specimens, format_name: str) -> None:
    """Also what is overwritten in place: a checkpoint without a number."""
    name = f"run-{next(NUMBERS)}"
    folder = bucket.training / name
    first, second = specimens.of(format_name)
    folder.mkdir()
    with Running(bucket.evaluator / name, scorer, speed=1) as running:
        for number, version in enumerate((first, second, first), start=1):
            version.place(folder, f"ckpt-{number}")
            assert scores_of(running.outcome(f"ckpt-{number}")) == pytest.approx(version.scores, abs=1e-6)
        first.place(folder, "best")
        assert scores_of(running.outcome("best")) == pytest.approx(first.scores, abs=1e-6)
        a_second_later = time.time() + 1.1
        until(lambda: time.time() > a_second_later)  # s3fs tells times in whole seconds
        second.place(folder, "best")
        running.wait(lambda: len(running.of("best")) > 1, "the second version of one name")
        assert scores_of(running.of("best")[1]) == pytest.approx(second.scores, abs=1e-6)


def test_steps_that_orbax_renames_into_place_come_through(bucket: Store, scorer: Scorer) -> None:
    """A bucket renames a directory file by file, so that a part of a step is there for a while."""
    name = f"run-{next(NUMBERS)}"
    folder = bucket.training / name
    folder.mkdir()
    model = small_model(seed=1)
    with Running(bucket.evaluator / name, scorer, speed=1) as running:
        for epoch in range(3):
            model.fit(dataset(1), shuffle=False, verbose=0)
            save_orbax(model, folder, epoch)
            assert scores_of(running.outcome(str(epoch))) == pytest.approx(model_factory().score(model), abs=1e-6)
    assert [outcome.checkpoint for outcome in running.outcomes] == ["0", "1", "2"]
