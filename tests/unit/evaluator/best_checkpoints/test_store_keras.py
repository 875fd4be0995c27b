"""The snippets of docs/results.md load what was copied: for each format, with Keras 3 and tf_keras."""

import importlib
import json
import pathlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.best_checkpoints.store import BestCheckpointStore
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.directory import Directory, look_twice
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluator import ModelEvaluator
from sidecar_evaluator.results.ranking import Goal, Primary
from unit.evaluator.support.fakes import evaluated
from unit.evaluator.support.models import ModelFactory, dataset

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]

DOCUMENT = Path(__file__).parents[4] / "docs" / "results.md"
WEIGHTS, BY_CHECKPOINT, BY_SAVE_WEIGHTS, ARCHIVE, ORBAX = range(5)


def snippets() -> list[str]:
    """Return the documented ways of loading, in order."""
    text = DOCUMENT.read_text().partition("### Loading the best")[2]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def save_by_manager(factory: ModelFactory, model: Any, directory: Path) -> None:
    import tensorflow as tf

    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=1).save()


def save_weights(name: str) -> Callable[[ModelFactory, Any, Path], None]:
    return lambda factory, model, directory: model.save_weights(str(directory / name))


def save_archive(factory: ModelFactory, model: Any, directory: Path) -> None:
    model.save(directory / "model-1.keras")


def save_orbax(factory: ModelFactory, model: Any, directory: Path) -> None:
    saver = factory.keras.callbacks.OrbaxCheckpoint(str(directory), save_weights_only=True)
    saver.set_model(model)
    saver.on_epoch_end(0, {})
    saver.on_train_end()


Save = Callable[[ModelFactory, Any, Path], None]
CASES: list[tuple[str, Save, str, int]] = [
    (keras, save, name, snippet)
    for keras in ("keras", "tf_keras")
    for save, name, snippet in (
        (save_weights("ckpt-1.weights.h5"), "KerasWeights", WEIGHTS),
        (save_by_manager, "TensorFlow", BY_CHECKPOINT),
        (save_archive, "Keras", ARCHIVE),
    )
]
CASES += [("tf_keras", save_weights("ckpt-1"), "TensorFlow", BY_SAVE_WEIGHTS), ("keras", save_orbax, "Orbax", ORBAX)]


def trained(factory: ModelFactory) -> Any:
    factory.keras.backend.clear_session()
    model = factory.model()
    model.fit(dataset(1), shuffle=False, verbose=0)
    return model


def newest(directory: Path) -> Checkpoint:
    (checkpoint,) = look_twice(Directory(directory)).checkpoints
    return checkpoint


def loaded(code: str, factory: ModelFactory, **names: Any) -> Any:
    """Run lines of Python as a user would, in a process whose first model is this one; return the model."""
    import tensorflow as tf

    factory.keras.backend.clear_session()
    namespace = {"model": factory.model(), "tf": tf, "keras": factory.keras, "pathlib": pathlib, **names}
    exec(code, namespace)
    return namespace["model"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def copies_in(root: Path) -> BestCheckpointStore:
    return BestCheckpointStore(root / "output" / "best", 1, Primary("accuracy", Goal.MAXIMIZE))


@pytest.mark.parametrize(
    ("keras", "save", "name", "snippet"), CASES, ids=[f"{case[0]}-{case[2]}-{case[3]}" for case in CASES]
)
def test_the_documented_lines_load_the_copy(keras: str, save: Save, name: str, snippet: int, root: Path) -> None:
    factory = ModelFactory(importlib.import_module(keras))
    model = trained(factory)
    (root / "ckpt").mkdir()
    save(factory, model, root / "ckpt")
    checkpoint = newest(root / "ckpt")
    assert checkpoint.format.name == name
    outcome = evaluated(checkpoint.name, number=checkpoint.number)
    assert copies_in(root).keep(checkpoint, outcome) == ""
    expected = pytest.approx(factory.score(model))
    assert factory.score(loaded(snippets()[snippet], factory)) == expected
    manifest = json.loads((root / "output" / "best" / checkpoint.name / "manifest.json").read_text())
    path = str(Path("output/best") / checkpoint.name / manifest["path"])
    line = manifest["load"] if snippet != BY_SAVE_WEIGHTS else manifest["load"].partition("wrote: ")[2]
    assert factory.score(loaded(line, factory, path=path)) == expected


@pytest.mark.parametrize("keras", ["keras", "tf_keras"])
def test_the_documented_lines_load_what_was_written_from_memory(keras: str, root: Path) -> None:
    factory = ModelFactory(importlib.import_module(keras))
    model = trained(factory)
    (root / "ckpt").mkdir()
    save_by_manager(factory, model, root / "ckpt")
    checkpoint = newest(root / "ckpt")
    evaluation = ModelEvaluator(Evaluation(factory.model(), dataset()), threading.Event())
    evaluation.prepare()
    weights = evaluation.read(checkpoint)
    for file in (root / "ckpt").iterdir():
        file.unlink()
    outcome = evaluated(checkpoint.name, number=checkpoint.number)
    assert copies_in(root).keep(checkpoint, outcome, lambda path: evaluation.export(weights, path)) == ""
    assert factory.score(loaded(snippets()[WEIGHTS], factory)) == pytest.approx(factory.score(model))
