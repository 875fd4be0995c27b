"""The writer of results.jsonl: every report a line, in order, whatever the disk does meanwhile."""

import errno
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator.results.jsonl_records import NAME, Earlier, Entry, read
from sidecar_evaluator.results.ledger import Counts, Results, Rules, settle
from sidecar_evaluator.results.ranking import Goal, Primary
from sidecar_evaluator.results.resume import resume_from
from sidecar_evaluator.storage.append_log import AppendLog
from sidecar_evaluator.writers.interface import Report
from sidecar_evaluator.writers.jsonl import JsonLinesWriter
from support.waiting import DEADLINE, until
from unit.evaluator.support.fakes import evaluated

RULES = Rules(Primary("accuracy", Goal.MAXIMIZE))


class Disk:
    """Takes lines, refuses as often as asked, or hangs."""

    def __init__(self, refusals: int = 0, gate: threading.Event | None = None) -> None:
        self.refusals, self.gate = refusals, gate
        self.entered = threading.Event()
        self.lines: list[dict[str, Any]] = []

    def append(self, lines: Sequence[bytes]) -> None:
        self.entered.set()
        if self.gate:
            self.gate.wait()
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        self.lines += [json.loads(line) for line in lines]

    def names(self) -> list[str]:
        return [line["checkpoint"] for line in self.lines]


Start = Callable[..., JsonLinesWriter]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[JsonLinesWriter] = []

    def make(append: Callable[[Sequence[bytes]], None], **others: Any) -> JsonLinesWriter:
        started.append(JsonLinesWriter(append, RULES.primary, **others))
        started[-1].resume("run", (), 0)
        return started[-1]

    yield make
    for writer in started:
        writer.close()


def settled(count: int, results: Results | None = None, skipped: int = 0) -> Iterator[Report]:
    results = results or Results()
    first = results.counts.evaluated + 1
    for number in range(first, first + count):
        outcome = evaluated(f"ckpt-{number}", number=number, modified_at=5.0)
        results = settle(results, outcome, RULES, skipped=skipped)
        yield Report(outcome, results)


def test_each_report_is_a_line_with_what_was_passed_over_for_it(start: Start) -> None:
    disk = Disk()
    writer = start(disk.append)
    for report in settled(3, skipped=2):
        writer.write(report)
    writer.write(Report(None, Results()))
    assert writer.flush(DEADLINE)
    assert [(line["checkpoint"], line["skipped"], line["watermark"]) for line in disk.lines] == [
        ("ckpt-1", 2, 1),
        ("ckpt-2", 2, 2),
        ("ckpt-3", 2, 3),
    ]


def test_refused_lines_are_written_in_order_as_soon_as_that_is_possible(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(refusals=3)
    writer = start(disk.append, first_pause=0.001)
    with caplog.at_level(logging.INFO):
        for report in settled(5):
            writer.write(report)
        assert writer.flush(DEADLINE)
        until(lambda: len(caplog.records) > 1)  # the good news comes after the lines
    assert disk.names() == [f"ckpt-{number}" for number in range(1, 6)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "No space left" in caplog.text


def test_flush_does_not_sit_out_a_long_pause(start: Start) -> None:
    gate = threading.Event()
    disk = Disk(refusals=1, gate=gate)
    writer = start(disk.append, first_pause=3600.0)
    writer.write(next(settled(1)))
    assert disk.entered.wait(DEADLINE)
    gate.set()
    assert writer.flush(DEADLINE)
    assert disk.names() == ["ckpt-1"]


def test_a_hanging_disk_delays_nobody_and_flush_says_so(start: Start) -> None:
    gate = threading.Event()
    disk = Disk(gate=gate)
    writer = start(disk.append)
    for report in settled(100):
        writer.write(report)
    assert not writer.flush(0.01)
    gate.set()
    assert writer.flush(DEADLINE)
    assert len(disk.lines) == 100


def test_trouble_that_nobody_thought_of_loses_no_line(start: Start) -> None:
    disk, troubles = Disk(), [MemoryError(), ValueError("odd")]

    def append(lines: Sequence[bytes]) -> None:
        if troubles:
            raise troubles.pop()
        disk.append(lines)

    writer = start(append, first_pause=0.001)
    writer.write(next(settled(1)))
    assert writer.flush(DEADLINE)
    assert disk.names() == ["ckpt-1"]


def test_what_the_journal_lacked_comes_first(start: Start) -> None:
    disk = Disk()
    writer = start(disk.append)
    unwritten = (Earlier(Counts(evaluated=3), 3), Entry(evaluated("ckpt-4", number=4), skipped=1))
    writer.resume("run", unwritten, skipped=7)
    results = Results(counts=Counts(evaluated=4, skipped=7))
    writer.write(next(settled(1, results, skipped=2)))
    assert writer.flush(DEADLINE)
    assert disk.lines[0] == {"run": "run", "earlier": Counts(evaluated=3).__dict__, "watermark": 3}
    assert [(line["checkpoint"], line["skipped"]) for line in disk.lines[1:]] == [("ckpt-4", 1), ("ckpt-5", 2)]


def test_a_process_after_the_other_goes_on_from_the_file(tmp_path: Path, start: Start) -> None:
    files = AppendLog(tmp_path / "output", NAME)
    results, expected = Results(), Counts(evaluated=6, skipped=6)
    for _ in range(3):
        resumed = resume_from(files, "run", Results(), RULES)
        assert resumed.results.counts == results.counts
        writer = JsonLinesWriter(files.append, RULES.primary)
        writer.resume("run", resumed.unwritten, resumed.results.counts.skipped)
        for report in settled(2, resumed.results, skipped=1):
            writer.write(report)
            results = report.results
        assert writer.flush(DEADLINE)
        writer.close()
    assert len([*read(files, "run")]) == 6
    assert resume_from(files, "run", Results(), RULES).results == results
    assert results.counts == expected
