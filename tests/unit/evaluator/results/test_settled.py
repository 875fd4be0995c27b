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
