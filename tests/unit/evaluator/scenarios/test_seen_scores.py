"""The class shows scores, also where a library has set up the root logger before."""

import logging
import sys
from pathlib import Path

import pytest

from sidecar_evaluator import SidecarEvaluator
from unit.evaluator.support.models import ModelFactory, dataset


@pytest.mark.parametrize("level", [logging.WARNING, logging.INFO])
def test_scores_are_seen_once_whatever_has_touched_the_root_logger(
    level: int,
    factory: ModelFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler(sys.stderr)])
    monkeypatch.setattr(root, "level", level)
    logging.getLogger("sidecar_evaluator").setLevel(logging.NOTSET)
    factory.save_by_manager(tmp_path)
    SidecarEvaluator(factory.model(), dataset(), tmp_path, max_evaluations=1).start()
    shown = capsys.readouterr().err
    assert (shown.count("End of evaluation. Metrics: "), shown.count("accuracy=")) == (1, 1)
