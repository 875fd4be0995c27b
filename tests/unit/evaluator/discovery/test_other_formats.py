"""What training code writes beside the formats that are read, said in words wherever nothing is found."""

from pathlib import Path

import pytest

from sidecar_evaluator.discovery.directory import Directory
from sidecar_evaluator.discovery.obstacles import Obstacle, Obstacles
from sidecar_evaluator.discovery.reminder import Reminder
from unit.evaluator.support.fakes import checkpoint
from unit.evaluator.support.iterating import Scene

HDF5 = "is a whole model in HDF5, or weights as Keras 2 wrote them, which is not read; save ckpt-{epoch}.weights.h5"
SAVED_MODEL = "is a SavedModel, which is not read; save ckpt-{epoch}.weights.h5"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["model.h5"], f"only model.h5; model.h5 {HDF5}"),
        (["ckpt-1.hdf5", "log"], f"ckpt-1.hdf5 {HDF5}"),
        (["export/saved_model.pb", "export/variables/variables.index"], f"export {SAVED_MODEL}"),
        (["1/saved_model.pb", "1/variables/variables.index"], f"1 {SAVED_MODEL}"),
        (["saved_model.pb", "variables/variables.index"], f"the directory {SAVED_MODEL}"),
        (["model-1.meta"], "model-1.meta is a graph of TensorFlow, which is not read; save with tf.train."),
        (["model.safetensors"], "model.safetensors is of another framework"),
        (["weights.npz"], "weights.npz is arrays without a format of Keras"),
    ],
)
def test_what_training_wrote_instead_is_called_by_its_name(tmp_path: Path, names: list[str], words: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    directory, reports = Directory(tmp_path), list[Obstacle | None]()
    listing = directory.look()
    assert listing.checkpoints == ()
    obstacle = Obstacles(directory, reports.append).end(listing, has_settled=False)
    assert reports == [obstacle]
    assert obstacle is not None
    assert words in obstacle.message
    assert words.rsplit("; ", maxsplit=1)[-1] in Reminder(directory)._hint(listing, has_settled=False)


def test_the_end_says_at_once_what_was_there_instead() -> None:
    scene = Scene()
    scene.directory.touch("model.h5")
    scene.finished.set()
    assert scene.drain() == []
    assert scene.iterator.left_over is not None
    assert f"only model.h5; model.h5 {HDF5}" in scene.iterator.left_over.message


def test_after_a_checkpoint_the_end_has_nothing_to_say() -> None:
    scene = Scene(checkpoint("ckpt-1"))
    scene.finished.set()
    assert scene.drain() == ["ckpt-1"]
    assert scene.iterator.left_over is None
