"""The snippets of docs/formats.md: each way to save is read back, and the example format keeps every promise."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.best_checkpoints.store import MANIFEST, BestCheckpointStore
from sidecar_evaluator.checkpoints.interface import CheckpointFormat
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.checkpoints.registry import FORMATS
from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.errors import CheckpointError, CheckpointGone, CheckpointIncompatible, CheckpointUnreadable
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.fakes import evaluated
from unit.evaluator.support.looking import is_same, look, only, read
from unit.evaluator.support.models import ModelFactory, arrays

DOCUMENT = (Path(__file__).parents[4] / "docs" / "formats.md").read_text()
BLOCK = r"```python\n(?P<code>.*?)```"
SNIPPETS = [
    pytest.param(match["format"], match["code"], keras, id=f"{match['title']}-{keras}")
    for match in re.finditer(r"### (?P<title>(?P<format>\w+): [^\n]*)\n" + BLOCK, DOCUMENT, re.DOTALL)
    for keras in ("keras", "tf_keras")
    if {"keras": "Keras 3", "tf_keras": "tf_keras"}[keras] in match["title"]
]


@pytest.mark.filterwarnings("ignore:.*HDF5 file via `model.save:UserWarning")
@pytest.mark.parametrize(("format_name", "code", "factory"), SNIPPETS, indirect=["factory"])
def test_what_a_documented_training_saves_is_read(
    format_name: str, code: str, factory: ModelFactory, tmp_path: Path
) -> None:
    import tensorflow as tf

    trained = randomized(factory.model())
    data = tf.data.Dataset.from_tensor_slices(arrays()).batch(16)
    trained.fit = _without_shuffling(trained.fit)
    exec(code, {"tf": tf, "keras": factory.keras, "model": trained, "data": data, "directory": str(tmp_path)})
    listing = Directory(tmp_path)
    listing.look()
    (checkpoint,) = listing.look().checkpoints
    assert checkpoint.format.name == format_name
    assert checkpoint.number is not None
    assert not checkpoint.format.inspect(checkpoint)
    weights = read_checkpoint(checkpoint, factory.model())
    assert is_same(weights, trained.get_weights())
    assert weights.iterations == int(trained.optimizer.iterations)


def _without_shuffling(fit: Any) -> Any:
    return lambda data, callbacks: fit(data, callbacks=callbacks, shuffle=False, verbose=0)


def test_every_format_has_a_documented_way() -> None:
    assert {snippet.values[0] for snippet in SNIPPETS} == set(FORMATS)


@pytest.fixture
def numpy_format() -> CheckpointFormat:
    """The example format of the page."""
    match = re.search(r"## A new format is one file\n.*?" + BLOCK, DOCUMENT, re.DOTALL)
    assert match
    namespace: dict[str, Any] = {"__name__": "numpy_format"}
    exec(match["code"], namespace)
    example: CheckpointFormat = namespace["NumPy"]()
    return example


@pytest.fixture
def saved(factory: ModelFactory, tmp_path: Path) -> Any:
    model = randomized(factory.model())
    np.savez(tmp_path / "ckpt-7.npz", *model.get_weights())
    (tmp_path / "other.npy").touch()
    return model


def test_the_example_reads_what_was_saved(
    numpy_format: CheckpointFormat, factory: ModelFactory, saved: Any, tmp_path: Path
) -> None:
    assert only(numpy_format, tmp_path).number == 7
    assert is_same(read(numpy_format, tmp_path, factory.model()), saved.get_weights())


def test_a_copy_of_the_best_says_how_the_example_is_loaded(
    numpy_format: CheckpointFormat, factory: ModelFactory, saved: Any, tmp_path: Path
) -> None:
    best = evaluated("ckpt-7", number=7)
    store = BestCheckpointStore(tmp_path / "best", 1, None)
    assert store.keep(only(numpy_format, tmp_path), best) == ""
    copy = tmp_path / "best" / "ckpt-7"
    manifest = json.loads((copy / MANIFEST).read_text())
    model = factory.model()
    exec(manifest["load"], {"numpy": np, "model": model, "path": str(copy / manifest["path"])})
    assert manifest["format"] == "NumPy"
    assert factory.score(model) == factory.score(saved)


@pytest.mark.usefixtures("saved")
def test_the_example_never_reads_half_a_file(
    numpy_format: CheckpointFormat, factory: ModelFactory, tmp_path: Path
) -> None:
    path, model = tmp_path / "ckpt-7.npz", factory.model()
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert look(numpy_format, directory=tmp_path)["ckpt-7"].missing
    checkpoint = look(numpy_format, directory=tmp_path)["ckpt-7"]
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    with pytest.raises(CheckpointError):
        read_checkpoint(checkpoint, model)


@pytest.mark.usefixtures("saved")
def test_the_example_tells_why_it_does_not_read(
    numpy_format: CheckpointFormat, factory: ModelFactory, tmp_path: Path
) -> None:
    checkpoint = only(numpy_format, tmp_path)
    with pytest.raises(CheckpointIncompatible, match=r"is \[4, 9\] in the model and \[4, 8\]"):
        read_checkpoint(checkpoint, factory.model(9))
    checkpoint.path.write_bytes(b"written over")
    with pytest.raises(CheckpointUnreadable):
        read_checkpoint(checkpoint, factory.model())
    checkpoint.path.unlink()
    with pytest.raises(CheckpointGone):
        read_checkpoint(checkpoint, factory.model())
