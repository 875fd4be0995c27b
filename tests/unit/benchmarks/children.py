"""Functions for `test_processes` to run in processes of their own."""

import sys
import threading

from benchmarks.processes import Report


def count(report: Report, upto: int) -> None:
    for number in range(1, upto + 1):
        report({"number": number})


def answer(report: Report) -> None:
    for number, _ in enumerate(sys.stdin, 1):
        report(number)


def be_silent(_report: Report) -> None:
    threading.Event().wait()


def fail(report: Report) -> None:
    report("before")
    print("some chatter")
    raise RuntimeError("the reason")
