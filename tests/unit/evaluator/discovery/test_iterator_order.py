"""Names with several numbers: whatever their order, nothing that is newer is passed over unseen, nor repeated."""

import itertools
import logging
import random
from dataclasses import dataclass, field

import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.results.jsonl_records import Entry, Record
from sidecar_evaluator.results.ledger import Results, Rules, settle
from sidecar_evaluator.results.resume import resume
from sidecar_evaluator.results.serialization import parse, render
from unit.evaluator.support.fakes import checkpoint, evaluated
from unit.evaluator.support.iterating import Scene

RULES = Rules(history_limit=3)
ROUNDING = 2.0


def saved(epochs: int, batches: int) -> list[Checkpoint]:
    """Return the checkpoints of a training that saves every 100 batches, a minute apart."""
    names = (f"ckpt-{epoch:02}-{batch}00" for epoch in range(1, epochs + 1) for batch in range(1, batches + 1))
    return [checkpoint(name, modified=1000 + 60.0 * at) for at, name in enumerate(names)]


def test_under_latest_the_first_batches_of_the_next_epoch_come_after_the_last_of_this() -> None:
    first, second, third, last = saved(2, 2)
    scene = Scene(first, second)
    scene.clock.at(5, lambda: scene.directory.add(third))
    scene.clock.at(10, lambda: scene.directory.add(last))
    scene.clock.at(20, scene.finished.set)
    assert scene.drain() == ["ckpt-01-200", "ckpt-02-100", "ckpt-02-200"]
    assert [remaining.skipped for remaining in scene.remaining] == [1, 0, 0]


def test_under_every_epoch_and_batch_tell_the_order() -> None:
    checkpoints = saved(2, 2)
    scene = Scene(*reversed(checkpoints), selection=Selection.EVERY)
    scene.finished.set()
    assert scene.drain() == [saved_one.name for saved_one in checkpoints]


def test_what_was_written_after_a_newer_name_is_not_passed_over() -> None:
    scene = Scene(checkpoint("acc-91-1", modified=10.0), checkpoint("acc-89-2", modified=70.0))
    scene.finished.set()
    assert scene.drain() == ["acc-91-1", "acc-89-2"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("best", "max_evaluations=3: the name of checkpoint best has no number, so that it does not end"),
        ("ckpt-01-2", "in the name of checkpoint ckpt-01-2, the last one, 2, is compared with it; write epoch,"),
        ("224-ep1", "of the numbers in the name of checkpoint 224-ep1, 1 is compared with it."),
        ("ckpt-2", ""),
    ],
)
def test_how_a_name_is_compared_with_the_limit_is_told_at_once(
    name: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(checkpoint(name), checkpoint(f"{name}-"), max_evaluations=3)
    scene.finished.set()
    with caplog.at_level(logging.WARNING):
        scene.drain()
    assert len(caplog.messages) == bool(words)
    assert words in "".join(caplog.messages)


def test_the_word_before_a_number_says_which_ends_the_evaluation() -> None:
    names = [f"resnet_224_ep{epoch:02}" for epoch in range(1, 5)]
    scene = Scene(*(checkpoint(name) for name in names), max_evaluations=3, selection=Selection.EVERY)
    assert scene.drain() == names[:3]


@dataclass
class Trial:
    """A training whose names, times and moments of saving have nothing to do with each other, and the evaluations."""

    seed: int
    selection: Selection
    has_journal: bool
    results: Results = field(default_factory=Results)
    journal: list[Record] = field(default_factory=list)
    evaluations: list[Checkpoint] = field(default_factory=list)

    def run(self) -> None:
        """Evaluate over several processes; each ends after a few."""
        chance = random.Random(self.seed)
        numbers = chance.sample(list(itertools.product(range(1, 5), range(1, 5))), 12)
        names = [f"a-{epoch}-{batch}" for epoch, batch in numbers] + ["b-1", "b-2", "c", "d-1-1-1"]
        self.saved = [
            checkpoint(name, modified=chance.choice([100.0, 200.0, 300.0]) + at) for at, name in enumerate(names)
        ]
        chance.shuffle(self.saved)
        if not self.has_journal:  # what comes late with an old time, the status alone cannot tell from what is settled
            self.saved.sort(key=lambda candidate: candidate.modified_at)
        shown = 0
        while shown < len(self.saved):
            shown += chance.randint(1, 5)
            self._process(self.saved[:shown], chance.randint(1, 4))
        self._process(self.saved, 100)

    def _process(self, listed: list[Checkpoint], limit: int) -> None:
        settled = resume(parse(render(self.results)), self.journal if self.has_journal else None, RULES).settled
        scene = Scene(*listed, settled=settled, selection=self.selection)
        scene.finished.set()
        for (candidate,) in itertools.islice(scene.iterator, limit):
            self.evaluations.append(candidate)
            left = scene.iterator.settle(candidate)
            outcome = evaluated(
                candidate.name,
                number=candidate.number,
                modified_at=candidate.modified_at,
                is_written_again=scene.iterator.is_written_again(candidate),
            )
            self.journal.append(Entry(outcome))
            self.results = settle(
                self.results,
                outcome,
                RULES,
                skipped=left.skipped,
                pending=left.pending,
                pending_name=left.pending_name,
                pending_since=left.pending_since,
            )


@pytest.mark.parametrize("has_journal", [True, False], ids=["journal", "status alone"])
@pytest.mark.parametrize("selection", list(Selection))
def test_whatever_the_order_nothing_newer_is_passed_over_unseen(selection: Selection, has_journal: bool) -> None:
    for seed in range(25):
        trial = Trial(seed, selection, has_journal)
        trial.run()
        names = [candidate.name for candidate in trial.evaluations]
        unseen = [candidate for candidate in trial.saved if candidate.name not in names]
        for candidate in unseen:
            assert selection is Selection.LATEST, (seed, candidate.name)
            assert any(is_older(candidate, scored) for scored in trial.evaluations), (seed, candidate.name)
        if has_journal:
            assert len(names) == len(set(names)), seed


def is_older(one: Checkpoint, other: Checkpoint) -> bool:
    """Tell whether names and times agree that one was saved before the other."""
    if not one.id.has_order_with(other.id):
        return False
    is_written_before = one.modified_at <= other.modified_at + ROUNDING
    return one.id.numbers <= other.id.numbers and (is_written_before or not one.id.has_several_numbers)
