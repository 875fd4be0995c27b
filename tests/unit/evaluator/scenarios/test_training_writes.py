"""The table in docs/formats.md of what training code writes: each row is written by the real library, and is true."""

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.model_variables import variables_to_restore
from sidecar_evaluator.checkpoints.reader import read_checkpoint
from sidecar_evaluator.discovery.directory import Directory, look_twice
from sidecar_evaluator.discovery.obstacles import Obstacles
from sidecar_evaluator.errors import CheckpointError, IterationsMissingError
from unit.evaluator.support.architectures import randomized
from unit.evaluator.support.models import ModelFactory, arrays
from unit.evaluator.support.training_writes import TRAINING_WRITES

DOCUMENT = Path(__file__).parents[4] / "docs" / "formats.md"
HEADER = "| training code writes | with | what becomes of it |\n|---|---|---|\n"
KERASES = {"both": ("keras", "tf_keras"), "keras": ("keras",), "tf_keras": ("tf_keras",)}
WITH = {"both": "both", "keras": "Keras 3", "tf_keras": "tf_keras"}
CASES = [(row, name) for row in TRAINING_WRITES for name in KERASES[row[1]]]


def table() -> dict[tuple[str, str], str]:
    """Return the third cell of each row by the first two."""
    rows = DOCUMENT.read_text().partition(HEADER)[2].partition("\n\n")[0].splitlines()
    cells = (row.strip("| ").split(" | ") for row in rows)
    return {(first, second): third for first, second, third in cells}


def test_each_row_is_written_by_a_test() -> None:
    assert list(table()) == [(first, WITH[second]) for first, second in TRAINING_WRITES]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("row", "name"), CASES, ids=[f"{row[0].strip('`')}-{name}" for row, name in CASES])
def test_what_training_writes_is_scored_or_refused_as_the_table_says(
    row: tuple[str, str], name: str, tmp_path: Path
) -> None:
    factory = ModelFactory(importlib.import_module(name))
    saved, model = build(row[0], factory), build(row[0], factory, is_entry=True)
    TRAINING_WRITES[row](factory.keras, saved, tmp_path)
    expected = table()[row[0], WITH[row[1]]]
    answer = outcome(tmp_path, model)
    if expected.startswith("scored"):
        assert answer == "scored"
        np.testing.assert_allclose(outputs(model), outputs(saved), rtol=1e-5, atol=1e-6)
    else:
        (words,) = re.findall(r"refused: “(.*)”", expected)
        assert words in answer


def build(first: str, factory: ModelFactory, *, is_entry: bool = False) -> Any:
    optimizer = factory.keras.optimizers.Adam(**({"use_ema": True} if "use_ema" in first else {}))
    model = factory.compiled(factory.model(compiled=False, frozen_statistics=False), optimizer)
    if "lora" in first:
        model.layers[0].enable_lora(2)
    model = randomized(model)
    if "quantize" in first and not (is_entry and "not" in first):
        model.quantize("int8")
        factory.compiled(model)
    return model


def outputs(model: Any) -> Any:
    return np.asarray(model(arrays()[0][:8]))


def outcome(directory: Path, model: Any) -> str:
    """Give the model the values of the only checkpoint, or return why there are none."""
    looked_at = Directory(directory)
    listing = look_twice(looked_at)
    if not listing.checkpoints:
        obstacle = Obstacles(looked_at).end(listing, has_settled=False)
        return obstacle.message if obstacle else ""
    (checkpoint,) = listing.checkpoints
    assert checkpoint.format.inspect(checkpoint) == ""
    try:
        weights = read_checkpoint(checkpoint, model)
    except (CheckpointError, IterationsMissingError) as error:
        return str(error)
    for variable, value in zip(variables_to_restore(model), weights.values, strict=True):
        variable.assign(value)
    return "scored"
