"""Reading ahead: in time, of the right checkpoint, and never in the way."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.checkpoints.prefetcher import Prefetcher
from sidecar_evaluator.errors import CheckpointGone
from support.waiting import DEADLINE, is_inside, until
from unit.evaluator.support.fakes import checkpoint


class Storage:
    """Counts reads; `gate` holds them up, `error` makes them fail."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.error: BaseException | None = None

    def read(self, checkpoint: Checkpoint) -> Weights:
        self.reads.append(checkpoint.name)
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(DEADLINE)
        if self.error:
            raise self.error
        return Weights((np.zeros(10),), checkpoint.number)


ONE, TWO, THREE = (checkpoint(f"ckpt-{number}") for number in (1, 2, 3))


def test_without_reading_ahead_it_reads_when_asked() -> None:
    storage = Storage()
    prefetcher = Prefetcher(storage.read)
    assert prefetcher.take(ONE).iterations == 1
    assert prefetcher.last_size == 80
    assert storage.threads == {"MainThread"}


def test_what_was_read_ahead_is_not_read_again() -> None:
    storage = Storage()
    prefetcher = Prefetcher(storage.read)
    with prefetcher.ahead(lambda: [TWO, THREE]):
        until(lambda: prefetcher.holds(TWO) and prefetcher.holds(THREE))
    assert [prefetcher.take(checkpoint).iterations for checkpoint in (TWO, THREE)] == [2, 3]
    assert storage.reads == ["ckpt-2", "ckpt-3"]
    assert storage.threads == {"ahead"}
    assert not prefetcher.holds(TWO)


def test_a_read_that_has_begun_is_waited_for() -> None:
    storage = Storage()
    storage.gate.clear()
    prefetcher = Prefetcher(storage.read)
    with prefetcher.ahead(lambda: [TWO]):
        until(lambda: storage.reads == ["ckpt-2"])
    assert not prefetcher.holds(TWO)
    with ThreadPoolExecutor() as pool:
        taken = pool.submit(prefetcher.take, TWO)
        until(lambda: any(is_inside(thread, Future.result) for thread in threading.enumerate()))
        storage.gate.set()
        assert taken.result().iterations == 2
    assert storage.reads == ["ckpt-2"]


def test_a_checkpoint_that_was_written_again_is_read_again() -> None:
    storage = Storage()
    prefetcher = Prefetcher(storage.read)
    with prefetcher.ahead(lambda: [TWO]):
        until(lambda: prefetcher.holds(TWO))
    prefetcher.take(checkpoint("ckpt-2", size=9))
    assert storage.reads == ["ckpt-2", "ckpt-2"]


def test_only_the_newest_wish_is_kept() -> None:
    storage, wishes = Storage(), [[TWO]]
    prefetcher = Prefetcher(storage.read)
    with prefetcher.ahead(lambda: wishes[-1]):
        until(lambda: prefetcher.holds(TWO))
        wishes.append([THREE])
        until(lambda: prefetcher.holds(THREE))
    assert not prefetcher.holds(TWO)


def test_what_went_wrong_ahead_is_told_when_it_is_asked_for() -> None:
    storage = Storage()
    storage.error = CheckpointGone("deleted")
    prefetcher = Prefetcher(storage.read)
    with prefetcher.ahead(lambda: [TWO]):
        until(lambda: storage.reads == ["ckpt-2"])
    assert not prefetcher.holds(TWO)
    with pytest.raises(CheckpointGone):
        prefetcher.take(TWO)


def test_nothing_is_read_ahead_where_memory_is_short() -> None:
    storage, sizes = Storage(), list[int]()

    def has_room(size: int) -> bool:
        sizes.append(size)
        return False

    prefetcher = Prefetcher(storage.read, has_room)
    prefetcher.take(ONE)
    with prefetcher.ahead(lambda: [TWO]):
        until(lambda: sizes == [80])
    assert storage.reads == ["ckpt-1"]


def test_trouble_with_looking_ahead_stays_there() -> None:
    asked = threading.Event()

    def upcoming() -> list[Checkpoint]:
        asked.set()
        raise OSError("the mount has died")

    with Prefetcher(Storage().read).ahead(upcoming):
        assert asked.wait(DEADLINE)


def test_code_that_ends_its_thread_keeps_nobody_waiting() -> None:
    storage = Storage()
    storage.error = SystemExit(3)
    prefetcher = Prefetcher(storage.read)
    raised: list[BaseException] = []

    def take() -> None:
        try:
            prefetcher.take(TWO)
        except SystemExit as error:
            raised.append(error)

    with prefetcher.ahead(lambda: [TWO]):
        until(lambda: storage.reads == ["ckpt-2"])
    threading.Thread(target=take, daemon=True).start()
    until(lambda: raised == [storage.error])
