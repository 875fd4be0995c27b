"""Event files: what TensorBoard shows of them, and what becomes of them on a disk that is full."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.results.ledger import Results
from sidecar_evaluator.results.outcome import Score
from sidecar_evaluator.writers.interface import Report
from sidecar_evaluator.writers.tensorboard import TensorBoardWriter
from unit.evaluator.support.fakes import evaluated


def test_tensorboard_logs_have_the_tags_of_the_callback(tmp_path: Path) -> None:
    import tensorflow as tf

    writer = TensorBoardWriter(tmp_path)
    scores = (Score("loss", 0.5), Score("accuracy", 0.25, "val"))
    outcome = evaluated("ckpt-7", number=7, step=700)
    writer.write(Report(outcome.__class__(**{**outcome.__dict__, "scores": scores}), Results()))
    writer.close()
    steps = {}
    for path in tmp_path.glob("validation/**/events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            steps.update({(str(path.parent.relative_to(tmp_path)), v.tag): event.step for v in event.summary.value})
    assert steps == {
        ("validation", "evaluation_loss_vs_iterations"): 700,
        ("validation/val", "evaluation_accuracy_vs_iterations"): 700,
    }


def test_summaries_can_be_files_that_are_closed_at_once(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path, closes_files=True)
    for number in (1, 2):
        writer.write(Report(evaluated(f"ckpt-{number}", number=number, step=number), Results()))
        assert len(list(tmp_path.glob("validation/events*"))) == number
        assert not open_below(tmp_path)
    writer.close()


def test_tensorboard_itself_reads_the_summaries(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.util.tensor_util import make_ndarray

    for closes in (False, True):
        writer = TensorBoardWriter(tmp_path, closes_files=closes)
        writer.write(Report(evaluated("ckpt-1", number=1, step=1, accuracy=0.25), Results()))
        writer.write(Report(evaluated("ckpt-2", number=2, step=2, accuracy=float("nan")), Results()))
        writer.close()
    board = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    board.Reload()
    points = [(event.step, float(make_ndarray(event.tensor_proto))) for event in shown(board)]
    assert [step for step, _ in points] == [1, 2, 1, 2]
    assert [str(value) for _, value in points] == ["0.25", "nan", "0.25", "nan"]


def shown(board: Any) -> Any:
    return board.Tensors("validation", "evaluation_accuracy_vs_iterations")


def open_below(folder: Path) -> list[Path]:
    """Return the files below a folder that this process has open."""
    targets = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [target for target in targets if target.is_relative_to(folder)]


@contextmanager
def no_room() -> Iterator[None]:
    """Let this process write nothing into files; pytest's own output may be one."""
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, earlier[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, earlier)
        signal.signal(signal.SIGXFSZ, handler)


def test_attempts_without_room_leave_no_files(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    for _ in range(3):
        with no_room(), pytest.raises(OSError, match="File too large"):
            writer.write(Report(evaluated("ckpt-1", number=1, step=1), Results()))
    assert not list((tmp_path / "validation").iterdir())
