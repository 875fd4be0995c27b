import time
from pathlib import Path

import pytest

from benchmarks.arriving import arrive
from benchmarks.workload import KERAS_WEIGHTS, TENSORFLOW

FILES = {
    TENSORFLOW: ["ckpt-3.data-00000-of-00002", "ckpt-3.data-00001-of-00002", "ckpt-3.index"],
    KERAS_WEIGHTS: ["ckpt-3.weights.h5"],
}


@pytest.mark.parametrize("form", FILES)
def test_a_checkpoint_arrives_whole_and_the_state_file_names_it(form: str, tmp_path: Path) -> None:
    source, directory = tmp_path / "source", tmp_path / "watched"
    source.mkdir()
    directory.mkdir()
    for name in (*FILES[form], "ckpt-30.index"):
        (source / name).write_text(name)
    before = time.monotonic()
    complete = arrive(source, directory, 3, form)
    assert before <= complete <= time.monotonic()
    state = ["checkpoint"] if form == TENSORFLOW else []
    assert sorted(path.name for path in directory.iterdir()) == sorted([*FILES[form], *state])
    assert all((directory / name).read_text() == name for name in FILES[form])
    if state:
        assert (directory / "checkpoint").read_text() == 'model_checkpoint_path: "ckpt-3"\n'
