"""Names that `ModelCheckpoint` gives within an epoch, and copies beside them, through the class."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator import SidecarEvaluator
from unit.evaluator.support.models import BATCH, EXAMPLES, ModelFactory, dataset

BATCHES = EXAMPLES // BATCH


class Publisher:
    """Moves one file after the other to where it is looked for, in the order of their writing, then ends training."""

    def __init__(self, source: Path, target: Path) -> None:
        self.target = target
        self.waiting = sorted(source.iterdir(), key=lambda path: path.stat().st_mtime_ns)

    def __call__(self) -> None:
        if not self.waiting:
            (self.target / "training.finished").touch()
            return
        path = self.waiting.pop(0)
        path.rename(self.target / path.name)


@pytest.mark.parametrize("factory", ["keras"], indirect=True)
def test_the_final_model_of_a_training_that_saves_within_epochs_is_scored(
    factory: ModelFactory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, seen = tmp_path / "source", tmp_path / "seen"
    source.mkdir()
    seen.mkdir()
    model = factory.model()
    saver = factory.keras.callbacks.ModelCheckpoint(
        str(source / "ckpt-{epoch:02d}-{batch:04d}.weights.h5"), save_weights_only=True, save_freq=BATCHES - 1
    )
    model.fit(dataset(1), epochs=2, shuffle=False, verbose=0, callbacks=[saver])
    model.save_weights(seen / "best.weights.h5")
    publish = Publisher(source, seen)
    names = [path.name.partition(".")[0] for path in publish.waiting]
    publish()
    caplog.set_level(logging.INFO, logger="sidecar_evaluator")
    SidecarEvaluator(factory.model(), dataset(), seen, callbacks=[after(factory, publish)], exclude=["best*"]).start()
    assert scored(caplog) == names
    assert len(names) == 2


def after(factory: ModelFactory, action: Callable[[], None]) -> Any:
    class After(factory.keras.callbacks.Callback):  # type: ignore[name-defined, misc]
        def on_test_end(self, logs: Any = None) -> None:
            action()

    return After()


def scored(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [line.split() for line in caplog.messages if line.startswith("Checkpoint ") and " took " in line]
    return [words[1] for words in lines]
