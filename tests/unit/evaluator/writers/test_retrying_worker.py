"""The worker of every sink: what it keeps, what it tries again, and what it says of it."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from sidecar_evaluator.writers.retrying_worker import Batch, RetryingWorker
from support.waiting import DEADLINE, until


class Sink:
    """Takes items; fails as often as it has errors, and waits in each attempt while its gate is closed."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.attempts: list[list[int]] = []
        self.written: list[int] = []
        self.entered, self.gate = threading.Semaphore(0), threading.Semaphore(1_000_000)
        self.closed = 0

    def write(self, items: Sequence[int]) -> None:
        self.attempts.append(list(items))
        self.entered.release()
        assert self.gate.acquire(timeout=DEADLINE)
        if self.errors:
            raise self.errors.pop(0)
        self.written += items

    def close(self) -> None:
        self.closed += 1


Start = Callable[..., RetryingWorker[int]]


@pytest.fixture
def start() -> Iterator[Start]:
    workers: list[RetryingWorker[int]] = []

    def make(sink: Sink, batch: Batch, **options: object) -> RetryingWorker[int]:
        worker = RetryingWorker("The sink", sink.write, batch, close=sink.close, **options)  # type: ignore[arg-type]
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        worker.close()


@pytest.mark.parametrize(
    ("batch", "attempts"),
    [(Batch.ONE, [[0], [1], [2], [3]]), (Batch.ALL, [[0], [1, 2, 3]]), (Batch.NEWEST, [[0], [3]])],
)
def test_what_waits_during_an_attempt_is_written_as_the_batch_says(
    batch: Batch, attempts: list[list[int]], start: Start
) -> None:
    sink = Sink()
    sink.gate = threading.Semaphore(0)
    worker = start(sink, batch)
    worker.submit(0)
    assert sink.entered.acquire(timeout=DEADLINE)
    worker.submit(1)
    worker.submit(2, 3)
    sink.gate.release(100)
    assert worker.flush(DEADLINE)
    assert sink.attempts == attempts


def test_something_newer_that_came_during_a_failing_attempt_is_tried_without_a_pause(start: Start) -> None:
    sink = Sink(ConnectionError("refused"))
    sink.gate = threading.Semaphore(0)
    worker = start(sink, Batch.NEWEST, first_pause=3600.0)
    worker.submit(1)
    assert sink.entered.acquire(timeout=DEADLINE)
    worker.submit(2)
    sink.gate.release(100)
    assert sink.entered.acquire(timeout=DEADLINE)
    assert worker.flush(DEADLINE)
    assert sink.written == [2]


def test_replaced_items_are_not_kept(start: Start) -> None:
    sink = Sink()
    worker = start(sink, Batch.NEWEST)
    for item in range(100):
        worker.submit(item)
    assert worker.flush(DEADLINE)
    assert sink.written[-1] == 99
    assert all(len(attempt) == 1 for attempt in sink.attempts)


def test_each_new_cause_is_logged_once(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    causes = ["501\nfirst", "501\nfirst", "403\nforbidden"]
    worker = start(Sink(*map(ConnectionError, causes)), Batch.ALL, first_pause=0.001)
    with caplog.at_level(logging.INFO):
        worker.submit(1)
        assert worker.flush(DEADLINE)
        until(lambda: "The sink can be written again." in caplog.messages)
    assert caplog.messages == [
        "The sink cannot be written, trying again until it can: 501 first",
        "The sink cannot be written, trying again until it can: 403 forbidden",
        "The sink can be written again.",
    ]


def test_what_is_refused_after_the_end_is_said_to_be_lost(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink(*[OSError("no space left")] * 100)
    worker = start(sink, Batch.ALL, first_pause=3600.0)
    worker.submit(1)
    assert sink.entered.acquire(timeout=DEADLINE)
    worker.close()
    assert not worker.flush(DEADLINE)
    until(lambda: sink.closed)
    assert sink.closed == 1
    assert "The sink could not be written before the end: OSError: no space left" in caplog.messages


def test_an_error_that_is_not_retried_drops_the_item_and_nothing_else(start: Start) -> None:
    sink = Sink(ValueError("a defect"))
    worker = start(sink, Batch.ONE, retried=OSError)
    worker.submit(1, 2)
    assert not worker.flush(DEADLINE)
    assert sink.written == [2]
