"""Which checkpoints count as settled: in one process, and after a restart that has only the status."""

from dataclasses import replace

import pytest

from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.results.jsonl_records import Entry
from sidecar_evaluator.results.ledger import Results, Rules, settle
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason
from sidecar_evaluator.results.resume import resume
from sidecar_evaluator.results.serialization import parse, render
from sidecar_evaluator.results.settled import SettledCheckpoints
from unit.evaluator.support.fakes import checkpoint, evaluated

RULES = Rules(history_limit=3)


def restored(results: Results, selection: Selection = Selection.EVERY) -> SettledCheckpoints:
    settled = resume(results, None, RULES).settled
    settled.newer_passes_older = selection.newer_passes_older
    return settled


@pytest.mark.parametrize("selection", list(Selection))
def test_a_restart_repeats_and_loses_no_numbered_checkpoint(selection: Selection) -> None:
    failed = Outcome("a-3", OutcomeKind.FAILED, 3, 10.0, 11.0, reason=Reason.UNREADABLE, message="damaged")
    results = settle(Results(), evaluated("a-1", number=1), RULES)
    settled = restored(settle(results, failed, RULES, pending=(2,)), selection)
    assert {number for number in range(5) if settled.covers(checkpoint(f"a-{number}"))} == {0, 1, 3}


def test_a_restart_repeats_an_unnumbered_checkpoint_only_if_it_was_written_since() -> None:
    results = settle(Results(), evaluated("best"), RULES)  # started at 10
    assert restored(results).covers(checkpoint("best", modified=9.0))
    assert not restored(results).covers(checkpoint("best", modified=11.0))
    assert not restored(results).covers(checkpoint("other", modified=9.0))
    assert restored(results, Selection.LATEST).covers(checkpoint("other", modified=9.0))


@pytest.mark.parametrize(("kind", "covered"), [(OutcomeKind.EVALUATED, True), (OutcomeKind.FAILED, False)])
def test_a_restart_hides_no_good_unnumbered_checkpoint_behind_a_newer_broken_one(
    kind: OutcomeKind, covered: bool
) -> None:
    results = settle(Results(), replace(evaluated("b", modified_at=20.0), kind=kind), RULES)
    assert restored(results, Selection.LATEST).covers(checkpoint("a", modified=15.0)) is covered
    assert restored(results, Selection.LATEST).covers(checkpoint("b", modified=20.0))


@pytest.mark.parametrize("modified", [1753600000.1234565, 1753600000.123456789, 1753600000.9999996, 1753600000.0])
def test_a_restart_knows_an_unnumbered_checkpoint_by_a_time_that_the_status_has_rounded(modified: float) -> None:
    results = parse(render(settle(Results(), evaluated("best", modified_at=modified), RULES)))
    assert restored(results).covers(checkpoint("best", modified=modified))
    assert not restored(results).covers(checkpoint("best", modified=modified + 0.001))


def test_the_highest_number_survives_in_watermark_or_history() -> None:
    assert restored(Results()).highest is None
    assert restored(replace(Results(), watermark=4)).highest == 4
    assert restored(settle(Results(), evaluated("a-7", number=7), RULES, pending=(2,))).highest == 7


@pytest.mark.parametrize(
    ("newer_passes_older", "evaluated_name", "covered"),
    [
        (False, "a-5", {"a-5"}),
        (True, "a-5", {"a-5", "a-4"}),
        (True, "a", {"a", "b"}),
        (False, "a", {"a"}),
    ],
)
def test_what_this_process_evaluated_settles_older_ones_of_its_order(
    newer_passes_older: bool, evaluated_name: str, covered: set[str]
) -> None:
    settled = SettledCheckpoints(newer_passes_older)
    listed = [
        checkpoint("a-4"),
        checkpoint("a-5"),
        checkpoint("a-6"),
        checkpoint("a", modified=9),
        checkpoint("b", modified=8),
    ]
    settled.add(next(candidate for candidate in listed if candidate.name == evaluated_name))
    assert {candidate.name for candidate in listed if settled.covers(candidate)} == covered


def test_what_failed_settles_no_other() -> None:
    settled = SettledCheckpoints(newer_passes_older=True)
    settled.add(checkpoint("a-5"), evaluated=False)
    assert not settled.covers(checkpoint("a-4"))
    assert settled.highest == 5


@pytest.mark.parametrize("change", [{"modified": 2.0}, {"modified": 0.5}, {"size": 2}])
def test_an_unnumbered_name_that_this_process_sees_written_again_is_another_checkpoint(
    change: dict[str, float],
) -> None:
    settled = SettledCheckpoints()
    settled.add(checkpoint("best"))
    assert settled.covers(checkpoint("best"))
    assert not settled.covers(checkpoint("best", **change))  # type: ignore[arg-type]


def test_an_outcome_is_restored_once() -> None:
    settled = SettledCheckpoints()
    assert [settled.restore(evaluated("best", modified_at=at)) for at in (1.0, 2.0, 1.0)] == [True, True, False]
    assert [settled.restore(evaluated("a-1", number=1)) for _ in range(2)] == [True, False]
    assert settled.holds(evaluated("a-1", number=1))
    assert not settled.holds(evaluated("best", modified_at=3.0))


@pytest.mark.parametrize("has_journal", [True, False])
def test_after_a_restart_an_unnumbered_name_with_another_time_is_another_checkpoint(has_journal: bool) -> None:
    outcome = evaluated("best", modified_at=50.0)
    results = settle(Results(), outcome, RULES)
    resumed = resume(Results(), [Entry(outcome)], RULES) if has_journal else resume(results, None, RULES)
    assert resumed.settled.covers(checkpoint("best", modified=50.0))
    assert not resumed.settled.covers(checkpoint("best", modified=30.0))


NIGHT, DAY = 1_000.0, 90_000.0


def last_night(count: int = 5) -> list[Outcome]:
    """Return the outcomes of a training that wrote a checkpoint every minute."""
    return [
        evaluated(f"a-{number}", number=number, modified_at=NIGHT + 60 * number, accuracy=number / 10)
        for number in range(1, count + 1)
    ]


def after_restart(known: str, outcomes: list[Outcome]) -> SettledCheckpoints:
    """Return what is settled after a restart that has the journal, or the status alone."""
    if known == "journal":
        return resume(Results(), [Entry(outcome) for outcome in outcomes], RULES).settled
    results = Results()
    for outcome in outcomes:
        results = settle(results, outcome, RULES)
    return restored(parse(render(results)))


def in_process(outcomes: list[Outcome]) -> SettledCheckpoints:
    settled = SettledCheckpoints()
    for outcome in outcomes:
        settled.add(checkpoint(outcome.checkpoint, modified=outcome.modified_at))
    return settled


@pytest.mark.parametrize("selection", list(Selection))
@pytest.mark.parametrize("known", ["process", "journal", "status"])
def test_a_name_that_is_written_again_after_it_was_settled_is_another_checkpoint(
    known: str, selection: Selection
) -> None:
    outcomes = last_night()
    settled = in_process(outcomes) if known == "process" else after_restart(known, outcomes)
    settled.newer_passes_older = selection.newer_passes_older
    for outcome in outcomes:  # the status remembers three of them, and the others by its watermark
        assert settled.covers(checkpoint(outcome.checkpoint, modified=outcome.modified_at))
        assert settled.covers(checkpoint(outcome.checkpoint, modified=outcome.modified_at + 1.5))  # coarse times
        again = checkpoint(outcome.checkpoint, modified=DAY + outcome.modified_at)
        assert not settled.covers(again)
        assert settled.is_written_again(again)
    assert not settled.covers(checkpoint("a-6", modified=DAY))
    assert not settled.is_written_again(checkpoint("a-6", modified=DAY))


@pytest.mark.parametrize("selection", list(Selection))
@pytest.mark.parametrize("known", ["process", "journal", "status"])
def test_epoch_and_batch_that_are_written_again_are_another_checkpoint(known: str, selection: Selection) -> None:
    outcomes = [
        evaluated(f"a-{epoch}-{batch}", number=batch, modified_at=NIGHT + 600 * epoch + batch)
        for epoch in (1, 2)
        for batch in (100, 200, 300)
    ]
    settled = in_process(outcomes) if known == "process" else after_restart(known, outcomes)
    settled.newer_passes_older = selection.newer_passes_older
    for outcome in outcomes:
        assert settled.covers(checkpoint(outcome.checkpoint, modified=outcome.modified_at))
        assert not settled.covers(checkpoint(outcome.checkpoint, modified=DAY + outcome.modified_at))
    assert settled.is_written_again(checkpoint("a-2-100", modified=DAY))
    assert not settled.covers(checkpoint("a-3-100", modified=DAY))
    settled.add(checkpoint("a-2-200", modified=DAY))
    assert not settled.covers(checkpoint("a-2-300", modified=DAY + 60))


def test_once_training_has_gone_back_latest_passes_what_it_has_left_behind() -> None:
    settled = after_restart("status", last_night())
    settled.newer_passes_older = True
    settled.add(checkpoint("a-2", modified=DAY))
    assert settled.highest == 2
    left_behind = [checkpoint("a-9", modified=NIGHT + 540), checkpoint("a-1", modified=NIGHT + 60)]
    assert all(settled.covers(candidate) for candidate in left_behind)
    assert not settled.covers(checkpoint("a-3", modified=DAY + 60))
    assert settled.covers(checkpoint("a-1", modified=DAY - 60))


def test_under_latest_a_name_that_was_passed_over_is_known_too() -> None:
    settled = SettledCheckpoints(newer_passes_older=True)
    settled.add(checkpoint("a-5", modified=NIGHT))
    settled.remember(checkpoint("a-1", modified=NIGHT - 60))
    assert settled.covers(checkpoint("a-1", modified=NIGHT - 60))
    assert not settled.covers(checkpoint("a-1", modified=DAY))
    assert settled.covers(checkpoint("a-2", modified=NIGHT + 5))  # never seen before: it only comes late


@pytest.mark.parametrize("selection", list(Selection))
def test_a_lower_number_that_only_comes_late_is_not_written_again(selection: Selection) -> None:
    settled = in_process(last_night())
    settled.newer_passes_older = selection.newer_passes_older
    late = checkpoint("b-3", modified=DAY)
    assert not settled.is_written_again(late)
    assert settled.covers(late) is selection.newer_passes_older


def test_after_a_restart_what_was_written_again_while_something_was_pending_is_not_lost() -> None:
    results = Results()
    for outcome in last_night():
        results = settle(results, outcome, RULES)
    for number in (1, 3):
        again = evaluated(f"a-{number}", number=number, modified_at=DAY + number, is_written_again=True)
        results = settle(results, again, RULES, pending=(2,), pending_since=DAY + 2)
    settled = restored(parse(render(results)))
    assert not settled.covers(checkpoint("a-2", modified=DAY + 2))
    assert settled.covers(checkpoint("a-1", modified=DAY + 1))
    assert settled.covers(checkpoint("a-3", modified=DAY + 3))
