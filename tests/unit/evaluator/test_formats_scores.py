"""In every format the scores are those that `model.evaluate` gives in the training, whatever else a model holds."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import Weights
from sidecar_evaluator.checkpoints.restored import restored_variables
from sidecar_evaluator.entrypoint import Evaluation
from sidecar_evaluator.evaluation import Loaded, ModelEvaluation
from unit.evaluator import odd_models
from unit.evaluator.looking import read
from unit.evaluator.models import Kit, dataset
from unit.evaluator.odd_models import trained
from unit.evaluator.saving import SAVERS

Build = Callable[[Kit], Any]


def prepared(model: Any) -> ModelEvaluation:
    evaluation = ModelEvaluation(Evaluation(model, dataset()), threading.Event())
    evaluation.prepare()
    return evaluation


def scores_of(evaluation: ModelEvaluation, *weights: Weights) -> list[dict[str, float]]:
    loaded = [Loaded(each, 1) for each in weights]
    return [{score.name: score.value for score in scores} for scores in evaluation.score(loaded)]


@pytest.mark.parametrize("build", odd_models.ALL, ids=lambda build: build.__name__)
def test_a_model_that_holds_more_than_layers_is_scored_as_in_training(build: Build, kit: Kit, tmp_path: Path) -> None:
    saved, model = trained(build(kit)), build(kit)
    evaluation = prepared(model)
    first = Weights([np.array(each) for each in restored_variables(model)], None)
    for saver in SAVERS:
        if kit.is_keras3 or not saver.keras3_only:
            directory = tmp_path / str(saver)
            directory.mkdir()
            saver.save(saved, directory, 1)
            reader = saver.format()
            scores_of(evaluation, first)
            (alone,) = scores_of(evaluation, read(reader, directory, model))
            _, together = scores_of(evaluation, first, read(reader, directory, model))
            assert alone == together == pytest.approx(kit.score(saved), abs=1e-6), saver
