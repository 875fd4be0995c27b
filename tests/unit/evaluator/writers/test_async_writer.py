"""A writer in the background: what it retries, what `flush` reports, and that it can be closed."""

from sidecar_evaluator.writers.async_writer import AsyncWriter
from support.waiting import DEADLINE, until
from unit.evaluator.support.fakes import FakeWriter, report


def test_a_background_writer_that_failed_says_so() -> None:
    background = AsyncWriter(FakeWriter(error=ValueError("a defect")))
    background.write(report())
    assert not background.flush(DEADLINE)
    background.close()


def test_a_background_writer_tries_again_what_the_system_refuses() -> None:
    refused = FakeWriter(error=OSError("no space left"))
    background = AsyncWriter(refused, first_pause=0.01)
    for _ in range(2):
        background.write(report())
    assert not background.flush(0.05)
    refused.error = None
    assert background.flush(DEADLINE)
    background.close()
    assert len(refused.reports) == 2


def test_a_background_writer_that_is_refused_for_ever_can_be_closed() -> None:
    refused = FakeWriter(error=OSError("no space left"))
    background = AsyncWriter(refused, first_pause=60.0)
    background.write(report())
    background.close()
    assert not background.flush(DEADLINE)
    until(lambda: refused.closed)
