"""Checkpoints that failed and are tried again: once for each request, and counted by what became of them last."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.results.jsonl_records import Entry, Record
from sidecar_evaluator.results.ledger import Counts, EndReason, Results, Rules, settle
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason
from sidecar_evaluator.results.resume import Resumed, resume
from sidecar_evaluator.results.serialization import parse, render
from unit.evaluator.support.fakes import checkpoint, evaluated
from unit.evaluator.support.iterating import Scene

RULES = Rules(history_limit=10)
ASKED = 100.0
"""When the user asked for another run."""


def outcome(number: int, kind: OutcomeKind, at: float, *, modified_at: float = 1.0) -> Outcome:
    settled = evaluated(f"ckpt-{number}", number=number, modified_at=modified_at)
    settled = replace(settled, started_at=at - 1, evaluated_at=at, kind=kind)
    if kind is OutcomeKind.FAILED:
        return replace(settled, scores=(), reason=Reason.EVALUATION_ERROR, message="no such file")
    return settled


PAST = [
    outcome(1, OutcomeKind.EVALUATED, 10.0),
    outcome(2, OutcomeKind.FAILED, 20.0),
    outcome(3, OutcomeKind.GONE, 30.0),
    outcome(4, OutcomeKind.FAILED, 40.0),
]


def ledger(outcomes: Sequence[Outcome], retried: Sequence[int] = ()) -> Results:
    results = Results()
    for settled in outcomes:
        is_retry = settled.number in retried and settled.evaluated_at > ASKED
        results = settle(results, settled, RULES, is_retry=is_retry)
    return parse(render(results))


def journal(outcomes: Sequence[Outcome]) -> list[Record]:
    return [Entry(settled) for settled in outcomes]


def settled_numbers(resumed: Resumed, selection: Selection = Selection.EVERY) -> set[int]:
    resumed.settled.newer_passes_older = selection.newer_passes_older
    return {number for number in range(1, 7) if resumed.settled.covers(checkpoint(f"ckpt-{number}"))}


@pytest.mark.parametrize("records", [None, [], journal(PAST[:2]), journal(PAST)])
@pytest.mark.parametrize(
    ("before", "settled"),
    [(None, {1, 2, 3, 4}), (20.0, {1, 2, 3, 4}), (30.0, {1, 3, 4}), (ASKED, {1, 3})],
)
def test_what_failed_before_the_request_is_not_settled(
    records: list[Record] | None, before: float | None, settled: set[int]
) -> None:
    resumed = resume(ledger(PAST), records, RULES, before)
    assert settled_numbers(resumed) == settled
    assert resumed.results.counts == Counts(evaluated=1, failed=2, gone=1)


def test_under_latest_an_older_failure_stays_passed_over() -> None:
    past = [*PAST, outcome(5, OutcomeKind.EVALUATED, 50.0)]
    assert settled_numbers(resume(ledger(past), None, RULES, ASKED), Selection.LATEST) == {1, 2, 3, 4, 5}
    assert settled_numbers(resume(ledger(PAST), None, RULES, ASKED), Selection.LATEST) == {1, 3}


SECOND = [outcome(2, OutcomeKind.EVALUATED, 110.0), outcome(4, OutcomeKind.FAILED, 120.0)]


@pytest.mark.parametrize("in_journal", [None, 0, 3, 4, 5, 6])
@pytest.mark.parametrize("before", [None, ASKED])
def test_a_second_try_counts_in_place_of_the_first_and_is_not_repeated(
    in_journal: int | None, before: float | None
) -> None:
    everything = [*PAST, *SECOND]
    records = None if in_journal is None else journal(everything[:in_journal])
    resumed = resume(ledger(everything, retried=(2, 4)), records, RULES, before)
    assert settled_numbers(resumed) == {1, 2, 3, 4}
    assert resumed.results.counts == Counts(evaluated=2, failed=1, gone=1)
    again = resume(Results(), [*(records or []), *resumed.unwritten], RULES, before)
    if records is not None:
        assert again.results.counts == resumed.results.counts
        assert settled_numbers(again) == {1, 2, 3, 4}


def test_another_request_tries_again_what_failed_twice() -> None:
    resumed = resume(ledger([*PAST, *SECOND], retried=(2, 4)), None, RULES, 200.0)
    assert settled_numbers(resumed) == {1, 2, 3}


def scene(*numbers: int, resumed: Resumed, **policy: Any) -> Scene:
    listed = (checkpoint(f"ckpt-{number}") for number in numbers)
    made_ready = Scene(*listed, settled=resumed.settled, selection=Selection.EVERY, **policy)
    made_ready.finished.set()
    return made_ready


def test_it_is_handed_out_once_more_and_no_longer_counts_as_failed() -> None:
    again = scene(1, 2, 4, resumed=resume(ledger(PAST), None, RULES, ASKED))
    assert again.drain() == ["ckpt-2", "ckpt-4"]
    assert [remaining.is_retry for remaining in again.remaining] == [True, True]


def test_it_is_tried_again_although_the_maximum_is_reached() -> None:
    again = scene(1, 2, 4, 5, resumed=resume(ledger(PAST), None, RULES, ASKED), max_evaluations=4)
    again.finished.clear()
    assert again.drain() == ["ckpt-2", "ckpt-4"]
    assert again.iterator.ended is EndReason.MAX_EVALUATIONS
