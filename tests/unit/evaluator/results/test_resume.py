"""Status and journal united: neither repeats nor loses anything, whichever of them is ahead."""

import errno
import json
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.errors import ConfigurationError, StorageGoneError
from sidecar_evaluator.results.jsonl_records import NAME, Earlier, Entry, Record, read, render_line
from sidecar_evaluator.results.ledger import Counts, Ended, EndReason, Results, Rules, settle
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason
from sidecar_evaluator.results.ranking import Goal, Primary
from sidecar_evaluator.results.resume import Resumed, resume, resume_from
from sidecar_evaluator.results.serialization import parse, render
from sidecar_evaluator.storage.append_log import AppendLog
from unit.evaluator.support.fakes import checkpoint, evaluated

ACCURACY = Primary("accuracy", Goal.MAXIMIZE)
RULES = Rules(ACCURACY, history_limit=3)
RUN = "run"
KINDS = [OutcomeKind.EVALUATED, OutcomeKind.EVALUATED, OutcomeKind.FAILED, OutcomeKind.EVALUATED, OutcomeKind.GONE]


class Past:
    """What an earlier process settled: the ledger and the journal's record after each outcome."""

    def __init__(self, count: int, rules: Rules = RULES, skipped: int = 0) -> None:
        self.ledgers, self.records = [Results()], list[Record]()
        for at in range(count):
            outcome = self._outcome(at)
            results = settle(self.ledgers[-1], outcome, rules, skipped=skipped)
            self.ledgers.append(results)
            self.records.append(Entry(outcome, skipped, results.watermark, results.written_until))

    def status(self, after: int) -> Results:
        """Return the ledger as it comes back from the status."""
        return parse(json.loads(json.dumps(render(self.ledgers[after], ACCURACY))))

    @staticmethod
    def _outcome(at: int) -> Outcome:
        accuracy = [0.3, float("nan"), 0.9, 0.8, float("inf"), 0.7][at % 6]
        outcome = evaluated(f"ckpt-{at}", accuracy=accuracy, number=at, modified_at=10.0 + at)
        outcome = replace(outcome, kind=KINDS[at % len(KINDS)], started_at=20.0 + at, evaluated_at=20.5 + at)
        if outcome.kind is OutcomeKind.EVALUATED:
            return outcome
        return replace(outcome, scores=(), reason=Reason.UNREADABLE, message="damaged")


def covers(resumed: Resumed, candidate: Checkpoint, selection: Selection) -> bool:
    resumed.settled.newer_passes_older = selection.newer_passes_older
    return resumed.settled.covers(candidate)


def settled_numbers(resumed: Resumed, selection: Selection = Selection.EVERY) -> set[int]:
    return {number for number in range(20) if covers(resumed, checkpoint(f"ckpt-{number}"), selection)}


def text(results: Results) -> str:
    """Compare as text, where NaN equals NaN."""
    return repr(render(results, ACCURACY))


@pytest.mark.parametrize("in_status", range(13))
@pytest.mark.parametrize("in_journal", range(13))
def test_whichever_is_ahead_nothing_is_lost_or_counted_twice(in_status: int, in_journal: int) -> None:
    past = Past(12, skipped=2)
    resumed = resume(past.status(in_status), past.records[:in_journal], RULES)
    truth = past.ledgers[max(in_status, in_journal)]
    assert resumed.results.counts == truth.counts
    assert settled_numbers(resumed) == set(range(max(in_status, in_journal)))
    assert text(replace(resumed.results, history=())) == text(replace(truth, history=()))
    assert resumed.settled.highest == truth.watermark


@pytest.mark.parametrize("in_journal", range(13))
def test_after_the_missing_lines_are_written_the_journal_alone_tells_the_same(in_journal: int) -> None:
    past = Past(12, skipped=2)
    first = resume(past.status(12), past.records[:in_journal], RULES)
    second = resume(Results(), [*past.records[:in_journal], *first.unwritten], RULES)
    assert second.unwritten == ()
    assert text(second.results) == text(first.results)
    assert settled_numbers(second) == settled_numbers(first)


@pytest.mark.parametrize("in_journal", [0, 5, 12])
def test_what_is_written_again_because_of_a_crash_in_between_is_not_counted_twice(in_journal: int) -> None:
    past = Past(12, skipped=2)
    unwritten = resume(past.status(12), past.records[:in_journal], RULES).unwritten
    for written in range(len(unwritten) + 1):
        again = resume(past.status(12), [*past.records[:in_journal], *unwritten[:written]], RULES)
        assert again.results.counts == past.ledgers[12].counts
        assert settled_numbers(again) == set(range(12))


def test_what_the_status_still_knows_becomes_lines_oldest_first() -> None:
    past = Past(12)
    unwritten = resume(past.status(12), past.records[:10], RULES).unwritten
    assert [record.outcome.checkpoint for record in unwritten if isinstance(record, Entry)] == ["ckpt-10", "ckpt-11"]
    assert unwritten[-1].watermark == 11


def test_what_the_status_has_forgotten_is_counted_and_its_numbers_stay_settled() -> None:
    past = Past(12, skipped=1)
    resumed = resume(past.status(12), past.records[:2], RULES)
    earlier = resumed.unwritten[0]
    assert isinstance(earlier, Earlier)
    assert earlier.watermark == 11
    named = sum(isinstance(record, Entry) for record in resumed.unwritten)
    assert 2 + named + earlier.counts.evaluated + earlier.counts.failed + earlier.counts.gone == 12


def test_best_that_the_status_alone_knows_is_kept() -> None:
    past = Past(12)
    best = past.status(12).best
    assert best is not None
    assert best not in past.status(12).history
    resumed = resume(past.status(12), [], RULES)
    assert resumed.results.best == best
    assert best in [record.outcome for record in resumed.unwritten if isinstance(record, Entry)]


@pytest.mark.parametrize(
    ("primary", "expected"),
    [
        (Primary("accuracy", Goal.MAXIMIZE), "ckpt-3"),
        (Primary("accuracy", Goal.MINIMIZE), "ckpt-0"),
        (Primary("loss", Goal.MAXIMIZE), "ckpt-0"),
        (Primary("unheard", Goal.MAXIMIZE), None),
        (None, None),
    ],
)
@pytest.mark.parametrize("has_journal", [True, False])
def test_best_follows_the_rule_of_today(primary: Primary | None, expected: str | None, has_journal: bool) -> None:
    past = Past(4, Rules(ACCURACY, history_limit=10))
    records = past.records if has_journal else None
    best = resume(past.status(4), records, Rules(primary, history_limit=10)).results.best
    assert (best.checkpoint if best else None) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("goal", list(Goal))
def test_what_is_no_number_is_never_best_after_a_restart(value: float, goal: Goal) -> None:
    rules = Rules(Primary("accuracy", goal))
    odd, good = evaluated("ckpt-1", number=1, accuracy=value), evaluated("ckpt-2", number=2, accuracy=0.5)
    for outcomes in ([odd, good], [good, odd]):
        assert resume(Results(), [Entry(outcome) for outcome in outcomes], rules).results.best == good
        assert resume(Results(history=tuple(outcomes)), None, rules).results.best == good
    assert resume(Results(best=odd), [Entry(odd)], rules).results.best is None


def test_a_late_older_step_is_still_evaluated_after_a_restart_with_a_journal() -> None:
    outcomes = [evaluated(f"ckpt-{number}", number=number) for number in (1, 2, 5, 6, 7)]
    results = Results()
    for outcome in outcomes:
        results = settle(results, outcome, RULES)
    status = parse(render(results))
    with_journal = resume(status, [Entry(outcome) for outcome in outcomes], RULES)
    assert settled_numbers(with_journal, Selection.EVERY) == {1, 2, 5, 6, 7}
    assert settled_numbers(with_journal, Selection.LATEST) == set(range(8))
    assert settled_numbers(resume(status, None, RULES), Selection.EVERY) == set(range(8))


def test_under_latest_a_broken_newest_checkpoint_hides_no_good_one() -> None:
    broken = replace(evaluated("ckpt-9", number=9), kind=OutcomeKind.FAILED, scores=())
    resumed = resume(Results(), [Entry(evaluated("ckpt-3", number=3)), Entry(broken)], RULES)
    assert settled_numbers(resumed, Selection.LATEST) == {0, 1, 2, 3, 9}


@pytest.mark.parametrize("modified", [1753600000.1234565, 1753600000.9999996, 1753600000.123456789])
@pytest.mark.parametrize("has_journal", [True, False])
def test_an_unnumbered_checkpoint_is_the_same_until_it_is_written_again(modified: float, has_journal: bool) -> None:
    outcome = evaluated("best", modified_at=modified)
    results = settle(Results(), outcome, RULES)
    record = json.loads(render_line(Entry(outcome), RUN))
    records = [Entry(parsed)] if has_journal and (parsed := parse({"best": record}).best) else None
    resumed = resume(parse(render(results)) if not has_journal else Results(), records, RULES)
    for selection in Selection:
        assert covers(resumed, checkpoint("best", modified=modified), selection)
        assert not covers(resumed, checkpoint("best", modified=modified + 0.01), selection)
    assert covers(resumed, checkpoint("older", modified=modified - 1), Selection.LATEST)
    assert not covers(resumed, checkpoint("older", modified=modified - 1), Selection.EVERY)


def test_a_name_that_is_written_again_and_again_is_settled_each_time() -> None:
    outcomes = [evaluated("best", modified_at=float(at)) for at in range(1, 9)]
    resumed = resume(Results(), [Entry(outcome) for outcome in outcomes], RULES)
    assert resumed.results.counts == Counts(evaluated=8)
    assert all(covers(resumed, checkpoint("best", modified=float(at)), Selection.EVERY) for at in range(1, 9))


def test_of_two_lines_about_one_checkpoint_the_first_counts() -> None:
    record = Entry(evaluated("ckpt-1", number=1), skipped=4)
    assert resume(Results(), [record, record], RULES).results.counts == Counts(evaluated=1, skipped=4)


def test_an_earlier_end_is_no_end_of_this_process() -> None:
    ended = replace(Past(2).status(2), ended=Ended(EndReason.MAX_EVALUATIONS, 5.0))
    assert resume(ended, None, RULES).results.ended is None
    assert resume(ended, [], RULES).results.ended is None


def test_lines_of_another_run_are_left_alone(tmp_path: Path) -> None:
    files, past = AppendLog(tmp_path, NAME), Past(6)
    files.append([render_line(record, "another") for record in past.records])
    files.append([render_line(record, RUN) for record in past.records[:2]])
    resumed = resume_from(files, RUN, Results(), RULES)
    assert settled_numbers(resumed) == {0, 1}
    assert settled_numbers(resume_from(files, "another", Results(), RULES)) == set(range(6))


def test_ten_thousand_lines_are_read_in_little_memory(tmp_path: Path) -> None:
    files, rules = AppendLog(tmp_path, NAME), Rules(ACCURACY, history_limit=10)
    outcomes = (evaluated(f"ckpt-{at}", number=at, accuracy=at / 1e5, modified_at=5.0) for at in range(10_000))
    files.append([b"".join(render_line(Entry(outcome, 1, 5), RUN) for outcome in outcomes)])
    resumed = resume_from(files, RUN, Results(), rules)
    assert resumed.results.counts == Counts(evaluated=10_000, skipped=10_000)
    assert resumed.results.best is not None
    assert resumed.results.best.checkpoint == "ckpt-9999"
    tracemalloc.start()
    kept = resume_from(files, RUN, Results(), rules)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept.results == resumed.results
    assert peak < 4_000_000


def calls_to_resume(count: int, folder: Path) -> int:
    """Return how many functions are called to resume from so many lines."""
    files, calls = AppendLog(folder, NAME), 0
    outcomes = (evaluated(f"ckpt-{at}", number=at, accuracy=at / 1e5, modified_at=5.0) for at in range(count))
    files.append([b"".join(render_line(Entry(outcome, 1, 5), RUN) for outcome in outcomes)])

    def count_call(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count_call)
    try:
        resume_from(files, RUN, Results(), Rules(ACCURACY, history_limit=10))
    finally:
        sys.setprofile(None)
    return calls


def test_the_work_to_resume_grows_with_the_lines_and_not_faster(tmp_path: Path) -> None:
    few, many = (calls_to_resume(count, tmp_path / str(count)) for count in (200, 800))
    assert many < 4.5 * few


class Unreadable(AppendLog):
    """Files that cannot be read."""

    def __init__(self, error: OSError) -> None:
        super().__init__(Path("/output"), NAME)
        self._error = error

    def read(self) -> Iterator[bytes]:
        raise self._error

    def append(self, lines: Sequence[bytes]) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOTCONN, "Transport endpoint is not connected"), StorageGoneError),
        (PermissionError(errno.EACCES, "Permission denied"), ConfigurationError),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory"), ConfigurationError),
        (IsADirectoryError(errno.EISDIR, "Is a directory"), ConfigurationError),
        (OSError(errno.EIO, "Input/output error"), OSError),
    ],
)
def test_without_status_a_journal_that_cannot_be_read_stops_the_run(error: OSError, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        resume_from(Unreadable(error), RUN, Results(), RULES)


def test_with_a_status_a_journal_that_cannot_be_read_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    status = Past(5).status(5)
    resumed = resume_from(Unreadable(OSError(errno.EIO, "Input/output error")), RUN, status, RULES)
    assert text(resumed.results) == text(status)
    assert settled_numbers(resumed) == set(range(5))
    assert "going on from the status" in caplog.text


def test_without_an_output_the_status_alone_counts() -> None:
    status = Past(5).status(5)
    assert text(resume_from(None, RUN, status, RULES).results) == text(status)


def test_a_fresh_start_knows_nothing(tmp_path: Path) -> None:
    resumed = resume_from(AppendLog(tmp_path / "output", NAME), RUN, Results(), RULES)
    assert resumed.results == Results()
    assert resumed.settled.highest is None
    assert [*read(AppendLog(tmp_path / "output", NAME), RUN)] == []
    assert settled_numbers(resumed) == set()
