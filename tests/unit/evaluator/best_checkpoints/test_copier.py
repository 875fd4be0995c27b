"""Copies in the background: the loop goes on meanwhile, and the model is touched by its thread alone."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar_evaluator.best_checkpoints.copier import BestCheckpointCopier
from sidecar_evaluator.best_checkpoints.store import BestCheckpointStore
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.results.outcome import Outcome
from sidecar_evaluator.results.ranking import Goal, Primary
from support.waiting import DEADLINE, is_inside, until
from unit.evaluator.support.fakes import checkpoint, evaluated


class SlowCopies(BestCheckpointStore):
    """Copies that take as long as a test wants; those named in `lost` come from memory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, 1, Primary("accuracy", Goal.MAXIMIZE))
        self.gate = threading.Semaphore(0)
        self.began: list[str] = []
        self.kept: list[str] = []
        self.lost: set[str] = set()

    def keep(self, checkpoint: Checkpoint, outcome: Outcome, export: Callable[[Path], None] | None = None) -> str:
        self.began.append(checkpoint.name)
        self.gate.acquire()
        if checkpoint.name in self.lost and export:
            try:
                export(Path(checkpoint.name))
            except OSError as error:
                return str(error)
        self.kept.append(checkpoint.name)
        return ""


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[SlowCopies]:
    copies = SlowCopies(tmp_path)
    yield copies
    copies.gate.release(100)


def hand_over(keeper: BestCheckpointCopier, name: str, export: Callable[[Path], None] = lambda _path: None) -> None:
    keeper.keep(checkpoint(name), evaluated(name), export)


def test_the_loop_goes_on_while_the_best_is_copied(copies: SlowCopies) -> None:
    keeper = BestCheckpointCopier(copies)
    hand_over(keeper, "ckpt-1")
    hand_over(keeper, "ckpt-2")
    keeper.serve()
    assert copies.kept == []
    copies.gate.release(2)
    keeper.finish()
    assert copies.kept == ["ckpt-1", "ckpt-2"]


def test_no_more_than_one_waits_for_the_one_that_is_copied(copies: SlowCopies) -> None:
    keeper = BestCheckpointCopier(copies)
    hand_over(keeper, "ckpt-1")
    until(lambda: copies.began == ["ckpt-1"])
    hand_over(keeper, "ckpt-2")
    third = threading.Thread(target=hand_over, args=(keeper, "ckpt-3"), daemon=True)
    third.start()
    until(lambda: is_inside(third, threading.Condition.wait))
    copies.gate.release(3)
    third.join(DEADLINE)
    keeper.finish()
    assert copies.kept == ["ckpt-1", "ckpt-2", "ckpt-3"]


@pytest.mark.parametrize("chance", ["serve", "keep", "finish"])
def test_weights_are_written_from_memory_by_the_loops_thread(chance: str, copies: SlowCopies) -> None:
    woken, exported = threading.Event(), list[tuple[str, str]]()
    keeper = BestCheckpointCopier(copies, woken.set)
    copies.lost = {"ckpt-1"}
    copies.gate.release(100)
    hand_over(keeper, "ckpt-1", lambda path: exported.append((path.name, threading.current_thread().name)))
    if chance == "serve":
        assert woken.wait(DEADLINE)
        keeper.serve()
        until(lambda: copies.kept == ["ckpt-1"])
    elif chance == "keep":
        hand_over(keeper, "ckpt-2")
        hand_over(keeper, "ckpt-3")
    keeper.finish()
    assert exported == [("ckpt-1", threading.current_thread().name)]
    assert copies.kept[0] == "ckpt-1"


def test_trouble_with_writing_from_memory_is_the_copys_not_the_loops(copies: SlowCopies) -> None:
    def fail(_path: Path) -> None:
        raise OSError("No space left on device")

    keeper = BestCheckpointCopier(copies)
    copies.lost = {"ckpt-1"}
    copies.gate.release(2)
    hand_over(keeper, "ckpt-1", fail)
    keeper.finish()
    hand_over(keeper, "ckpt-2")
    keeper.finish()
    assert copies.kept == ["ckpt-2"]


def test_weights_are_let_go_of_once_they_are_copied(copies: SlowCopies) -> None:
    class Weights:
        def export(self, _path: Path) -> None:
            pass

    weights = Weights()
    held = weakref.ref(weights)
    keeper = BestCheckpointCopier(copies)
    hand_over(keeper, "ckpt-1", weights.export)
    del weights
    copies.gate.release()
    keeper.finish()
    gc.collect()
    assert held() is None


def test_nothing_handed_over_needs_no_finish(copies: SlowCopies) -> None:
    keeper = BestCheckpointCopier(copies)
    keeper.serve()
    keeper.finish()
    assert copies.began == []
