"""Several writers as one: that one's trouble is not the others'."""

import threading

import pytest

from sidecar_evaluator.writers.async_writer import AsyncWriter
from sidecar_evaluator.writers.multi import MultiWriter
from support.waiting import DEADLINE, until
from unit.evaluator.support.fakes import FakeWriter, report


def test_a_failing_writer_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    good = FakeWriter()
    writer = MultiWriter([FakeWriter(error=OSError("no space left")), good])
    writer.write(report())
    assert len(good.reports) == 1
    assert "A writer failed; the others go on." in caplog.messages


def test_a_hanging_writer_in_the_background_delays_no_other() -> None:
    gate, good = threading.Event(), FakeWriter()
    slow = FakeWriter(gate=gate)
    background = AsyncWriter(slow)
    writer = MultiWriter([background, good])
    for _ in range(3):
        writer.write(report())
    assert (len(slow.reports), len(good.reports)) == (0, 3)
    assert not writer.flush(0.01)
    gate.set()
    assert writer.flush(DEADLINE)
    writer.close()
    assert len(slow.reports) == 3
    until(lambda: slow.closed)
