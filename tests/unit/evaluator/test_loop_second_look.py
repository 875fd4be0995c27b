"""The loop looks at the files of a checkpoint again before it publishes the score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights, status_of
from sidecar_evaluator.checkpoints.prefetcher import Prefetcher
from sidecar_evaluator.results.outcome import OutcomeKind
from unit.evaluator.support.fakes import checkpoint
from unit.evaluator.test_loop import Scene


def test_a_score_of_a_file_that_was_written_to_meanwhile_is_not_published_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, path = Scene("ckpt-1"), tmp_path / "ckpt-1"
    path.write_text("half")
    scene.directory.add(replace(checkpoint("ckpt-1"), path=path))
    late = ["late"]

    def read(_candidate: Checkpoint) -> Weights:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        return Weights([content], None, read_from=[status_of(tmp_path, "ckpt-1")])

    def write_late() -> None:
        if late:
            path.write_text(f"half, {late.pop()}")

    scene.model.during = write_late
    scene.loop.prefetcher = Prefetcher(read, has_room=lambda _size: False)
    monkeypatch.setattr(scene.model, "read", read)
    assert scene.outcomes() == [("ckpt-1", OutcomeKind.EVALUATED, None)]
    assert scene.model.passes == [1, 1]
