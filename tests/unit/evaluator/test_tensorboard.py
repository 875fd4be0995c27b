"""Event files on a disk that is full."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar_evaluator.ledger import Results
from sidecar_evaluator.writers.interface import Report
from sidecar_evaluator.writers.tensorboard import TensorBoardWriter
from unit.evaluator.fakes import evaluated


@pytest.fixture
def no_room() -> Iterator[None]:
    """Let this process write nothing into files."""
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, earlier[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, earlier)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("no_room")
def test_attempts_without_room_leave_no_files(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    for _ in range(3):
        with pytest.raises(OSError, match="File too large"):
            writer.write(Report(evaluated("ckpt-1", number=1), Results()))
    assert not list((tmp_path / "validation").iterdir())
