"""Every format with real models: the values that were saved are read, or none."""

import contextlib
import importlib
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.checkpoints.tensorflow.format import TensorFlow
from sidecar_evaluator.errors import (
    CheckpointError,
    CheckpointGone,
    CheckpointIncompatible,
    CheckpointUnreadable,
    IterationsMissingError,
)
from support.waiting import DEADLINE
from unit.evaluator.support import architectures
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.looking import is_same, look, only, read
from unit.evaluator.support.models import ModelFactory
from unit.evaluator.support.saving import SAVERS, Saver, orbax_callback

Build = Callable[[ModelFactory], Any]
Action = Callable[[Path, Callable[[], None]], None]

PAIRS = [
    (saver, name) for saver in SAVERS for name in ("keras", "tf_keras") if name == "keras" or not saver.keras3_only
]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def pair(request: pytest.FixtureRequest) -> tuple[Saver, ModelFactory]:
    """Each format with each Keras that saves in it."""
    saver, name = request.param
    return saver, ModelFactory(importlib.import_module(name))


@pytest.fixture
def saver(pair: tuple[Saver, ModelFactory]) -> Saver:
    return pair[0]


@pytest.fixture
def factory(pair: tuple[Saver, ModelFactory]) -> ModelFactory:
    return pair[1]


def trained(factory: ModelFactory, build: Build = architectures.sequential, *, iterations: int = 7) -> Any:
    model = randomized(build(factory), seed=iterations)
    getattr(model.optimizer, "inner_optimizer", model.optimizer).iterations.assign(iterations)
    return model


def is_refused(build: Build, saver: Saver, factory: ModelFactory) -> bool:
    """Return whether it is refused: tf_keras layers that override `load_own_variables`, in the formats of Keras."""
    return build is architectures.own_layer and not factory.is_keras3 and saver.format is not TensorFlow


@pytest.mark.parametrize("build", architectures.ALL, ids=lambda build: build.__name__)
def test_values_are_bit_equal_to_those_that_were_saved(
    build: Build, saver: Saver, factory: ModelFactory, tmp_path: Path
) -> None:
    saved, model = trained(factory, build), build(factory)
    saver.save(saved, tmp_path, 1)
    untouched = model.get_weights()
    if is_refused(build, saver, factory):
        with pytest.raises(
            CheckpointIncompatible, match=r"transposed\S* overrides load_own_variables.* save TensorFlow"
        ):
            read(saver.format(), tmp_path, model)
    else:
        weights = read(saver.format(), tmp_path, model)
        assert is_same(weights, saved.get_weights())
        assert weights.iterations == 7
    assert all((ours == theirs).all() for ours, theirs in zip(model.get_weights(), untouched, strict=True))


def test_one_reader_reads_many_checkpoints(saver: Saver, factory: ModelFactory, tmp_path: Path) -> None:
    saved = [trained(factory, iterations=number) for number in (1, 2, 3)]
    for number, trained_model in enumerate(saved, 1):
        saver.save(trained_model, tmp_path, number)
    reader, model = saver.format(), architectures.sequential(factory)
    checkpoints = look(reader, directory=tmp_path).values()
    assert [checkpoint.number for checkpoint in checkpoints] == ([3] if saver.keras3_only else [1, 2, 3])
    for checkpoint in checkpoints:
        number = checkpoint.number or 0
        weights = read_checkpoint(checkpoint, model)
        assert is_same(weights, saved[number - 1].get_weights())
        assert weights.iterations == number


def files_below(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def lengths(size: int) -> set[int]:
    return {length for length in (0, 1, 40, size // 10, size // 2, size * 9 // 10, size - 1) if 0 <= length < size}


def score_of(saver: Saver, directory: Path, model: Any) -> Any:
    """Return the weights that would be scored, None if there are none."""
    for checkpoint in look(saver.format(), directory=directory).values():
        if not checkpoint.missing:
            try:
                return read_checkpoint(checkpoint, model)
            except CheckpointError:
                return None
    return None


def test_half_written_files_never_give_a_score(saver: Saver, factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = trained(factory), architectures.sequential(factory)
    saver.save(saved, tmp_path, 1)
    tried = useful = 0
    for path in files_below(tmp_path):
        whole = path.read_bytes()
        for length in lengths(len(whole)):
            path.write_bytes(whole[:length])
            weights = score_of(saver, tmp_path, model)
            assert weights is None or (saver.keras3_only and is_same(weights, saved.get_weights())), f"{path} {length}"
            tried, useful = tried + 1, useful + (weights is None)
        path.write_bytes(whole)
    assert useful > (tried // 4 if saver.keras3_only else tried - 1)  # of an Orbax step many files are not needed
    assert score_of(saver, tmp_path, model) is not None


def test_a_lost_file_never_gives_another_score(saver: Saver, factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = trained(factory), architectures.sequential(factory)
    saver.save(saved, tmp_path, 1)
    lost = 0
    for path in files_below(tmp_path):
        whole = path.read_bytes()
        path.unlink()
        weights = score_of(saver, tmp_path, model)
        assert weights is None or (saver.keras3_only and is_same(weights, saved.get_weights())), path
        lost += weights is None
        path.write_bytes(whole)
    assert lost >= 1


def delete(directory: Path, save_another: Callable[[], None]) -> None:
    shutil.rmtree(directory)
    directory.mkdir()


def save_again(directory: Path, save_another: Callable[[], None]) -> None:
    delete(directory, save_another)
    save_another()


def write_over(directory: Path, save_another: Callable[[], None]) -> None:
    """Write other contents of the same length into the same files."""
    kept = {path.relative_to(directory): path.open("r+b") for path in files_below(directory)}
    directory.rename(directory.with_name("aside"))
    directory.mkdir()
    save_another()
    other = {name: (directory / name).read_bytes() for name in kept if (directory / name).exists()}
    shutil.rmtree(directory)
    directory.with_name("aside").rename(directory)
    for name, file in kept.items():
        file.write(other.get(name, b""))
        file.close()


@pytest.mark.usefixtures("factory")
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize(
    ("action", "error"),
    [(delete, CheckpointGone), (save_again, CheckpointUnreadable), (write_over, CheckpointUnreadable)],
)
def test_what_changes_while_it_is_read_is_not_used(
    action: Action, error: type[Exception], at: int, pair: tuple[Saver, ModelFactory], tmp_path: Path
) -> None:
    """The change comes when the reader asks the model for its weights: before it, and between two reads."""
    saver, factory = pair
    directory = tmp_path / "checkpoints"
    directory.mkdir()
    saved, other, model = trained(factory), trained(factory, iterations=8), architectures.sequential(factory)
    saver.save(saved, directory, 1)
    checkpoint = only(saver.format(), directory)
    change = partial(action, directory, partial(saver.save, other, directory, 1))
    with when_asked_for_weights(model, at, change), pytest.raises(error):
        read_checkpoint(checkpoint, model)


@contextmanager
def when_asked_for_weights(model: Any, at: int, act: Callable[[], None]) -> Iterator[None]:
    """Act when a model is asked for its weights the given time."""
    owner = next(base for base in type(model).__mro__ if "weights" in vars(base))
    original, asked = vars(owner)["weights"], []

    def weights(self: Any) -> Any:
        if self is model:
            asked.append(1)
            if len(asked) == at:
                act()
        return original.fget(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(owner, "weights", property(weights))
        yield
    assert len(asked) >= at


@pytest.mark.usefixtures("factory")
@pytest.mark.parametrize(("width", "depth", "deeper"), [(9, 1, 1), (8, 2, 1), (8, 2, 3)])
def test_another_architecture_is_incompatible_and_named(
    width: int, depth: int, deeper: int, pair: tuple[Saver, ModelFactory], tmp_path: Path
) -> None:
    saver, factory = pair
    saver.save(trained(factory, lambda factory: factory.model(width, depth=depth)), tmp_path, 1)
    with pytest.raises(
        CheckpointIncompatible, match=r"another architecture.* is (\[.*\] in|not in) the (model|checkpoint)"
    ):
        read(saver.format(), tmp_path, factory.model(depth=deeper))


def test_without_an_optimizer_there_are_no_iterations(saver: Saver, factory: ModelFactory, tmp_path: Path) -> None:
    saved, model = factory.model(compiled=False), factory.model()
    if saver.keras3_only:
        orbax_callback(factory.compiled(saved), tmp_path, save_weights_only=True)
    else:
        saver.save(saved, tmp_path, 1)
    if saver.format is TensorFlow:
        with pytest.raises(IterationsMissingError):
            read(saver.format(), tmp_path, model)
    else:
        weights = read(saver.format(), tmp_path, model)
        assert weights.iterations is None
        assert is_same(weights, saved.get_weights())


def test_reading_disturbs_no_evaluation(saver: Saver, factory: ModelFactory, tmp_path: Path) -> None:
    """The first read also determines the layout, while the same model is being evaluated."""
    saver.save(trained(factory), tmp_path, 1)
    model = architectures.sequential(factory)
    expected, done = factory.score(model), threading.Event()
    scores: list[dict[str, float]] = []

    def evaluate() -> None:
        while not done.is_set() or len(scores) < 3:
            scores.append(factory.score(model))

    thread = threading.Thread(target=evaluate)
    thread.start()
    try:
        for _ in range(5):
            read(saver.format(), tmp_path, model)
    finally:
        done.set()
        thread.join(DEADLINE)
    assert not thread.is_alive()
    assert all(logs == expected for logs in scores)
    assert not any("save_own_variables" in vars(layer) for layer in model.layers)


def test_saves_over_one_another_are_never_mixed(saver: Saver, factory: ModelFactory, tmp_path: Path) -> None:
    """Each save is of one number throughout, and is written over the last one while that is read."""
    saved, model = trained(factory), architectures.sequential(factory)
    done = threading.Event()
    numbers: list[set[Any]] = []

    def evaluate() -> None:
        reader = saver.format()
        while not done.is_set() or not numbers:
            for checkpoint in look(reader, directory=tmp_path).values():
                if not checkpoint.missing:
                    with contextlib.suppress(CheckpointError):
                        weights = read_checkpoint(checkpoint, model)
                        numbers.append(
                            {
                                weights.iterations,
                                *(item for value in weights.values for item in np.asarray(value).flat),
                            }
                        )

    thread = threading.Thread(target=evaluate)
    thread.start()
    for number in range(1, 17):
        saved.set_weights([np.full_like(value, number) for value in saved.get_weights()])
        saved.optimizer.iterations.assign(number)
        saver.save(saved, tmp_path, number if saver.keras3_only else 1)
    done.set()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    assert numbers
    assert all(len(distinct) == 1 for distinct in numbers)
