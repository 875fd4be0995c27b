import pytest

from benchmarks.processes import Child, ChildError, call
from support.waiting import DEADLINE

CHILDREN = "unit.benchmarks.children"


def test_a_function_runs_in_a_process_and_its_last_report_is_returned() -> None:
    assert call(f"{CHILDREN}:count", upto=3) == {"number": 3}
    assert call(f"{CHILDREN}:count", upto=0) is None


def test_reports_come_one_by_one() -> None:
    with Child(f"{CHILDREN}:count", upto=2) as child:
        assert child.next_report(DEADLINE) == {"number": 1}
        assert list(child.reports(DEADLINE)) == [{"number": 2}]


def test_a_process_answers_as_often_as_it_is_asked() -> None:
    with Child(f"{CHILDREN}:answer") as child:
        assert [child.ask(DEADLINE), child.ask(DEADLINE)] == [1, 2]
    assert child.process.poll() is not None


def test_a_failure_shows_the_end_of_what_the_process_said() -> None:
    with Child(f"{CHILDREN}:fail") as child:
        assert child.next_report(DEADLINE) == "before"
        with pytest.raises(ChildError, match=r"(?s)fail ended.*some chatter.*RuntimeError: the reason"):
            list(child.reports(DEADLINE))


def test_a_process_that_says_nothing_is_given_up_and_ended() -> None:
    with Child(f"{CHILDREN}:be_silent") as child, pytest.raises(ChildError, match=r"reported nothing for 0.01 s"):
        child.next_report(0.01)
    assert child.process.poll() is not None
