"""From one ledger to the next."""

from dataclasses import replace

import pytest

from sidecar_evaluator.checkpoints.name_numbers import number_in
from sidecar_evaluator.results.ledger import Counts, Results, Rules, settle
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason
from sidecar_evaluator.results.ranking import Goal, Primary
from unit.evaluator.support.fakes import evaluated

RULES = Rules(Primary("accuracy", Goal.MAXIMIZE), history_limit=3)


def failed(name: str, number: int | None = None, kind: OutcomeKind = OutcomeKind.FAILED) -> Outcome:
    return Outcome(name, kind, number, 10.0, 11.0, reason=Reason.UNREADABLE, message="damaged")


def after(*outcomes: Outcome, rules: Rules = RULES) -> Results:
    results = Results()
    for outcome in outcomes:
        results = settle(results, outcome, rules)
    return results


def test_every_kind_is_counted() -> None:
    results = after(evaluated("a-1", number=1), failed("a-2", 2), failed("a-3", 3, OutcomeKind.GONE))
    results = settle(results, evaluated("a-9", number=9), RULES, skipped=5)
    assert results.counts == Counts(evaluated=2, skipped=5, failed=1, gone=1)


def test_history_is_newest_first_and_bounded() -> None:
    results = after(*(evaluated(f"a-{number}", number=number) for number in range(1, 6)))
    assert [outcome.checkpoint for outcome in results.history] == ["a-5", "a-4", "a-3"]


def test_a_failure_changes_neither_latest_nor_best() -> None:
    good = evaluated("a-1", number=1)
    results = after(good, failed("a-2", 2))
    assert (results.latest, results.best) == (good, good)


def test_a_late_arrival_of_lower_number_is_not_the_latest() -> None:
    newest = evaluated("a-5", number=5)
    assert after(newest, evaluated("a-4", number=4)).latest == newest


@pytest.mark.parametrize(
    ("goal", "values", "expected"),
    [
        (Goal.MAXIMIZE, [0.5, 0.9, 0.7], 0.9),
        (Goal.MINIMIZE, [0.5, 0.2, 0.7], 0.2),
        (Goal.MAXIMIZE, [float("nan"), 0.1], 0.1),
        (Goal.MAXIMIZE, [0.3, float("inf"), float("nan")], 0.3),
        (Goal.MINIMIZE, [0.3, float("-inf")], 0.3),
    ],
)
def test_best(goal: Goal, values: list[float], expected: float) -> None:
    outcomes = [evaluated(f"a-{at}", number=at, accuracy=value) for at, value in enumerate(values)]
    best = after(*outcomes, rules=Rules(Primary("accuracy", goal))).best
    assert best is not None
    assert best.scores[0].value == expected


@pytest.mark.parametrize("primary", [None, Primary("f1", Goal.MAXIMIZE)])
def test_without_its_metric_nothing_is_best(primary: Primary | None) -> None:
    assert after(evaluated("a-1", number=1), rules=Rules(primary)).best is None


def test_nan_alone_is_never_best() -> None:
    assert after(evaluated("a-1", number=1, accuracy=float("nan"))).best is None


def test_the_earlier_of_two_equals_stays_best() -> None:
    best = after(evaluated("a-1", number=1), evaluated("a-2", number=2)).best
    assert best is not None
    assert best.checkpoint == "a-1"


@pytest.mark.parametrize(
    ("settled", "pending", "watermark"),
    [
        ([1, 2, 3], (), 3),
        ([1, 3], (2,), 1),
        ([3], (1, 2), None),
        ([5], (7,), 5),
        ([1, 3, 4, 5, 6], (2,), 3),  # the history forgot 1 and 3: a mark below them would repeat 3
    ],
)
def test_the_watermark_stays_below_what_is_pending(
    settled: list[int], pending: tuple[int, ...], watermark: int | None
) -> None:
    results = Results()
    for number in settled:
        results = settle(results, evaluated(f"a-{number}", number=number), RULES, pending=pending)
    assert results.watermark == watermark


def test_the_watermark_never_falls() -> None:
    results = settle(replace(Results(), watermark=9), evaluated("a-4", number=4), RULES, pending=(3,))
    assert results.watermark == 9


def course(numbers: list[int], at: float, best: int, *, again: bool = False) -> list[Outcome]:
    """Return the outcomes of a training that wrote these numbers, a minute apart; one of them is the best."""
    return [
        evaluated(
            f"a-{number}",
            number=number,
            accuracy=0.9 if number == best else 0.1,
            modified_at=at + 60 * number,
            is_written_again=again,
        )
        for number in numbers
    ]


def named(outcome: Outcome | None) -> tuple[str, float] | None:
    return (outcome.checkpoint, outcome.modified_at) if outcome else None


def test_a_training_that_begins_again_under_the_same_names_has_a_latest_and_a_best_of_its_own() -> None:
    results = after(*course([1, 2, 3, 4], 0.0, best=3))
    results = settle(results, course([1], 9000.0, best=0, again=True)[0], RULES)
    assert named(results.latest) == named(results.best) == ("a-1", 9060.0)
    assert results.counts == Counts(evaluated=5)
    assert [outcome.checkpoint for outcome in results.history] == ["a-1", "a-4", "a-3"]
    left_over = evaluated("a-9", number=9, accuracy=0.99, modified_at=540.0)  # of the night before, settled late
    results = settle(results, left_over, RULES)
    assert named(results.latest) == named(results.best) == ("a-1", 9060.0)
    results = settle(results, course([2], 9000.0, best=2, again=True)[0], RULES)
    assert named(results.latest) == named(results.best) == ("a-2", 9120.0)


@pytest.mark.parametrize(("best", "expected"), [(2, ("a-2", 120.0)), (4, ("a-1", 60.0))])
def test_a_training_that_resumes_from_an_earlier_checkpoint_keeps_what_came_before_it(
    best: int, expected: tuple[str, float]
) -> None:
    results = after(*course([1, 2, 3, 4], 0.0, best=best), rules=replace(RULES, history_limit=10))
    results = settle(results, course([3], 9000.0, best=0, again=True)[0], RULES)
    assert named(results.latest) == ("a-3", 9180.0)
    assert named(results.best) == expected
    assert results.started_again is not None
    assert results.started_again.name == "a-3"


def test_one_that_is_written_again_and_fails_takes_away_what_it_replaced() -> None:
    results = after(*course([1, 2], 0.0, best=2))
    results = settle(results, replace(failed("a-1", 1), modified_at=9000.0, is_written_again=True), RULES)
    assert results.latest is None
    assert results.best is None
    assert results.counts == Counts(evaluated=2, failed=1)


@pytest.mark.parametrize(
    ("settled", "pending", "watermark"),
    [
        (["a-1-200"], None, "1-200"),
        (["a-1-200", "a-2-100"], None, "2-100"),
        (["a-1-200", "a-2-100"], "a-2-050", "1-200"),
        (["a-1-200", "a-2-100"], "a-1-100", None),  # a second evaluation is better than none
        (["a-1-200", "a-2-100", "a-7"], None, "2-100"),
        (["-".join(["99999999999"] * 20)], None, None),  # too long for the status
    ],
)
def test_names_with_several_numbers_have_a_watermark_of_their_own(
    settled: list[str], pending: str | None, watermark: str | None
) -> None:
    results = Results()
    for name in settled:
        results = settle(results, evaluated(name, number=number_in(name)), RULES, pending_name=pending)
    assert results.watermark_numbers == watermark
    assert results.watermark == (7 if "a-7" in settled else None)


@pytest.mark.parametrize(
    ("settled", "latest"),
    [
        (["a-1-200", "a-2-100"], "a-2-100"),
        (["a-2-100", "a-1-200"], "a-2-100"),
        (["a-2-100 step 9", "a-1-200 step 12"], "a-1-200"),  # the step is the training's own
        (["a-2-100 step 9", "a-1-200"], "a-2-100"),
        (["a-2-100 at 5", "a-7 at 9"], "a-7"),
        (["a-7 at 9", "a-2-100 at 5"], "a-7"),
        (["a-2-100", "best"], "best"),
    ],
)
def test_the_latest_of_names_with_several_numbers(settled: list[str], latest: str) -> None:
    results = Results()
    for name, *words in map(str.split, settled):
        values = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        number = number_in(name)
        outcome = evaluated(
            name, number=number, step=values.get("step", number), modified_at=float(values.get("at", 0))
        )
        results = settle(results, outcome, RULES)
    assert results.latest is not None
    assert results.latest.checkpoint == latest


@pytest.mark.parametrize(
    ("settled", "pending_since", "until"),
    [
        ([10.0, 20.0, 30.0], None, 30.0),
        ([10.0, 30.0], 20.0, 10.0),
        ([30.0], 20.0, None),
        ([10.0, 30.0, 40.0, 50.0, 60.0], 20.0, 30.0),  # the history forgot 10 and 30
    ],
)
def test_the_watermarks_time_stays_before_what_is_pending(
    settled: list[float], pending_since: float | None, until: float | None
) -> None:
    results = Results()
    for written_at in settled:
        outcome = evaluated(f"a-{written_at:g}", number=int(written_at), modified_at=written_at)
        results = settle(results, outcome, RULES, pending_since=pending_since)
    assert results.written_until == until
