"""The exporter of the best model: the arguments of Keras 2, without its defects."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator import SidecarEvaluator, SidecarEvaluatorModelExport
from sidecar_evaluator.checkpoints.interface import Checkpoint, FileState
from unit.evaluator.support.fakes import FORMAT
from unit.evaluator.support.models import ModelFactory, arrays, dataset


class FakeModel:
    """Notes what was saved where."""

    optimizer = None

    def __init__(self) -> None:
        self.saved: list[str] = []

    def save(self, path: str, overwrite: bool) -> None:
        assert overwrite
        self.saved.append(Path(path).name.partition("-")[2])
        Path(path).write_text("saved")

    save_weights = save


def checkpoint(name: str) -> Checkpoint:
    return Checkpoint(name, Path(name), FORMAT, (FileState(name, 1, 1),))


def exporter(tmp_path: Path, **arguments: Any) -> SidecarEvaluatorModelExport:
    return SidecarEvaluatorModelExport(tmp_path / "best" / "model-{epoch:04d}", tmp_path / "ckpt-{epoch}", **arguments)


def exported(export: SidecarEvaluatorModelExport, *values: float, metric: str = "loss", first: int = 1) -> list[str]:
    model = FakeModel()
    for number, value in enumerate(values, first):
        export.evaluated_checkpoint = checkpoint(f"ckpt-{number}")
        export.evaluated(model, {metric: value})
    return model.saved


@pytest.mark.parametrize(
    ("arguments", "metric", "values", "expected"),
    [
        ({}, "loss", [3.0, 2.0, 2.5, 2.0, 1.0], [1, 2, 5]),
        ({"monitor": "loss", "mode": "max"}, "loss", [1.0, 0.5, 2.0], [1, 3]),
        ({"monitor": "val_accuracy"}, "accuracy", [0.5, 0.4, 0.6], [1, 3]),
        ({"monitor": "auc", "mode": "min"}, "auc", [0.5, 0.4, 0.6], [1, 2]),
        ({"monitor": "loss"}, "loss", [math.nan, 2.0, math.nan, math.inf, -math.inf, 1.0], [2, 6]),
        ({"monitor": "loss", "initial_value_threshold": 1.0}, "loss", [1.5, 1.0, 0.9], [3]),
        ({"monitor": "f1", "verbose": 1, "save_freq": "epoch"}, "loss", [1.0], []),
    ],
)
def test_only_what_is_best_so_far_is_saved(
    arguments: dict[str, Any], metric: str, values: list[float], expected: list[int], tmp_path: Path
) -> None:
    saved = exported(exporter(tmp_path, **arguments), *values, metric=metric)
    assert saved == [f"model-{number:04d}.keras" for number in expected]
    assert sorted(path.name for path in (tmp_path / "best").glob("model-*")) == sorted(saved)


def test_a_restart_goes_on_from_the_best_value(tmp_path: Path) -> None:
    assert len(exported(exporter(tmp_path), 3.0, 2.0)) == 2
    assert exported(exporter(tmp_path), 2.5, 1.5, first=3) == ["model-0004.keras"]
    record = json.loads((tmp_path / "best" / "model.best-val_loss.json").read_text())
    assert record == {
        "monitor": "val_loss",
        "value": 1.5,
        "checkpoint": "ckpt-4",
        "path": str(tmp_path / "best" / "model-0004.keras"),
    }
    assert len(exported(exporter(tmp_path, monitor="accuracy"), 0.1, metric="accuracy")) == 1, "a record of its own"


@pytest.mark.parametrize("record", ["", "[]", '{"value": null}', '{"value": "NaN"}'])
def test_a_damaged_record_is_passed_over(record: str, tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "model.best-val_loss.json").write_text(record)
    assert len(exported(exporter(tmp_path), 3.0)) == 1


def test_an_export_that_fails_is_not_recorded_and_leaves_nothing(tmp_path: Path) -> None:
    class Failing(FakeModel):
        def save(self, path: str, overwrite: bool) -> None:
            Path(path).write_text("half")
            raise OSError("disk full")

    export = exporter(tmp_path)
    with pytest.raises(OSError, match="disk full"):
        export.evaluated(Failing(), {"loss": 1.0})
    assert list((tmp_path / "best").iterdir()) == []
    assert len(exported(export, 2.0)) == 1


@pytest.mark.parametrize(
    ("monitor", "expected"), [("loss", ["model-0001.keras"]), ("test/loss", ["model-0001.keras", "model-0002.keras"])]
)
def test_with_several_datasets_one_decides(monitor: str, expected: list[str], tmp_path: Path) -> None:
    export, model = exporter(tmp_path, monitor=monitor), FakeModel()
    for number, val, test in ((1, 1.0, 5.0), (2, 2.0, 4.0)):
        export.evaluated_checkpoint = checkpoint(f"ckpt-{number}")
        for export.evaluated_dataset, loss in (("val", val), ("test", test)):
            export.evaluated(model, {"loss": loss})
    assert model.saved == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("best/model", "model.keras"),
        ("best/{checkpoint}.keras", "epoch-0007.keras"),
        ("best/m-{epoch:02d}-{loss:.2f}", "m-07-0.50.keras"),
        ("best/m-{epoch:02d}-{val_loss:.2f}", "m-07-0.50.keras"),
        ("{epoch}/model", "model.keras"),
    ],
)
def test_the_name_is_that_of_the_evaluated_checkpoint(template: str, expected: str, tmp_path: Path) -> None:
    export = SidecarEvaluatorModelExport(str(tmp_path / template), monitor="loss")
    export.evaluated_checkpoint = checkpoint("epoch-0007")
    export.evaluated(FakeModel(), {"loss": 0.5})
    assert [path.name for path in tmp_path.rglob("*.keras")] == [expected]
    assert len(list(tmp_path.rglob("*.best-loss.json"))) == 1


def test_what_users_of_keras_2_read_and_set_are_attributes(tmp_path: Path) -> None:
    export = exporter(tmp_path, monitor="loss", verbose=1, save_weights_only=True)
    assert (export.filepath, export.monitor) == (str(tmp_path / "best" / "model-{epoch:04d}"), "loss")
    assert (export.verbose, export.save_weights_only, export.save_best_only) == (1, True, True)
    assert export.best is None
    export.best = 1.0
    assert len(exported(export, 2.0, 0.5)) == 1
    assert export.best == 0.5


def test_a_mode_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be one of auto, min, max"):
        exporter(tmp_path, mode="biggest")


@pytest.mark.parametrize("weights_only", [True, False])
def test_the_example_of_keras_2_works(weights_only: bool, factory: ModelFactory, tmp_path: Path) -> None:
    ending = "" if weights_only or factory.is_keras3 else ".keras"
    saver = factory.save_by_callback(tmp_path, epochs=3)
    export = SidecarEvaluatorModelExport(
        export_filepath=tmp_path / "best_model_eval" / ("best-model-{epoch:04d}" + ending),
        checkpoint_filepath=tmp_path / "ckpt-{epoch:04d}",
        save_freq="eval",
        save_weights_only=weights_only,
        monitor="loss",
        mode="min",
        verbose=1,
    )
    SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=3, callbacks=[export]).start()
    record = json.loads(next((tmp_path / "best_model_eval").glob("*.json")).read_text())
    assert record["value"] == pytest.approx(saver[2]["loss"], abs=1e-6)
    assert "best-model-0003" in record["path"]
    if weights_only:
        model = factory.model()
        model.load_weights(record["path"]) if factory.is_keras3 else model.load_weights(record["path"]).expect_partial()
    else:
        model = factory.keras.models.load_model(record["path"])
    assert model.evaluate(*arrays(), verbose=0)[0] == pytest.approx(record["value"], abs=1e-6)
