"""Lines of the journal: what is written is read back, what is strange is left out."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sidecar_evaluator.results.jsonl_records import NAME, Earlier, Entry, Record, read, render_line, run_identity
from sidecar_evaluator.results.ledger import Counts
from sidecar_evaluator.results.outcome import Outcome, OutcomeKind, Reason, Score
from sidecar_evaluator.results.ranking import Goal, Primary
from sidecar_evaluator.results.serialization import parse_outcome
from sidecar_evaluator.storage.append_log import AppendLog
from unit.evaluator.support.fakes import evaluated

DOCUMENT = (Path(__file__).parents[4] / "docs" / "results.md").read_text()
ODD_VALUES = (float("nan"), float("inf"), float("-inf"), 0.1 + 0.2, 1e-320, -0.0, 1.7976931348623157e308)
LONG = evaluated("ckpt-" + "é" * 120 + "-7", number=7, step=700, modified_at=9.123456)
RECORDS: list[Record] = [
    Entry(LONG, skipped=3, watermark=7, written_until=9.5, watermark_numbers="2-100"),
    Entry(replace(LONG, scores=tuple(Score(f"m{at}", value, "val") for at, value in enumerate(ODD_VALUES)))),
    Entry(replace(LONG, scores=tuple(Score("m" * 300 + str(at), at / 3) for at in range(100)))),
    Entry(Outcome("best", OutcomeKind.FAILED, None, 1.5, 2.5, 0.25, reason=Reason.TIMED_OUT, message="line\n" * 500)),
    Entry(Outcome('odd-\udcff\u2028"\\', OutcomeKind.GONE, None, 1.5, 2.5, message="deleted")),
    Earlier(Counts(5, 4, 3, 2), watermark=12),
    Earlier(Counts(skipped=1)),
]


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


def text_of(record: Record) -> str:
    """Compare as text, where NaN equals NaN."""
    return repr(record)


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_one_line_of_strict_json_that_reads_back(record: Record, tmp_path: Path) -> None:
    line = render_line(record, "run", Primary("loss", Goal.MINIMIZE))
    assert line.endswith(b"\n")
    assert len(line.splitlines()) == 1
    json.loads(line, parse_constant=refuse)
    files = AppendLog(tmp_path, NAME)
    files.append([line])
    assert [text_of(restored) for restored in read(files, "run")] == [text_of(record)]


def test_a_line_has_the_fields_of_the_status_and_what_a_restart_needs() -> None:
    outcome = evaluated("ckpt-7", number=7, step=700, accuracy=0.75, modified_at=9.0)
    line = json.loads(render_line(Entry(outcome, 2, 6), "uid-1", Primary("accuracy", Goal.MAXIMIZE)))
    assert line == {
        "run": "uid-1",
        "checkpoint": "ckpt-7",
        "step": 700,
        "number": 7,
        "outcome": "evaluated",
        "score": "accuracy=0.7500",
        "metrics": [
            {"name": "accuracy", "dataset": "default", "value": "0.75"},
            {"name": "loss", "dataset": "default", "value": "0.25"},
        ],
        "modifiedAt": "1970-01-01T00:00:09.000000Z",
        "startedAt": "1970-01-01T00:00:10.000000Z",
        "evaluatedAt": "1970-01-01T00:00:12.000000Z",
        "durationSeconds": "2.000",
        "skipped": 2,
        "watermark": 6,
    }
    assert parse_outcome(line) == outcome


@pytest.mark.parametrize(
    ("strange", "is_reported"),
    [
        (b"", True),
        (b'{"run":"run","checkpoint":"ckpt-1","outc', True),
        (b"\x00\x00\xff", True),
        (b"[1, 2]", True),
        (b"[" * 100_000, True),
        (b'"text"', True),
        (b"null", True),
        (b'{"checkpoint":"of nobody","outcome":"gone"}', True),
        (b'{"run":"run","outcome":"evaluated"}', True),
        (b'{"run":"run","checkpoint":"x","outcome":"gone","startedAt":"yesterday"}', True),
        (b'{"run":"run","checkpoint":"x","outcome":"evaluated","metrics":[{"name":"loss","value":"low"}]}', True),
        (b'{"run":"run","checkpoint":"x","outcome":"gone","watermark":"high"}', True),
        (b'{"run":"run","earlier":[]}', True),
        (b'{"run":"another","checkpoint":"ckpt-1","outcome":"gone"}', False),
        (b'{"run":"run","checkpoint":"x","outcome":"of a later version"}', False),
        (b'{"run":"run","note":"a kind of line of a later version"}', False),
    ],
)
def test_a_strange_line_is_left_out_and_hides_no_other(
    strange: bytes, is_reported: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = AppendLog(tmp_path, NAME)
    good = [render_line(Entry(evaluated(f"ckpt-{number}", number=number)), "run") for number in (1, 2)]
    files.append([good[0], strange + b"\n", good[1]])
    with caplog.at_level(logging.WARNING):
        names = [record.outcome.checkpoint for record in read(files, "run") if isinstance(record, Entry)]
    assert names == ["ckpt-1", "ckpt-2"]
    assert bool(caplog.messages) is is_reported


def test_fields_of_a_later_version_do_no_harm(tmp_path: Path) -> None:
    line: dict[str, Any] = json.loads(render_line(RECORDS[0], "run"))
    files = AppendLog(tmp_path, NAME)
    files.append([json.dumps({"version": 9, **line, "energy": {"joules": 1e3}}).encode() + b"\n"])
    assert [*read(files, "run")] == [RECORDS[0]]


def test_the_documented_lines_are_lines_of_a_journal(tmp_path: Path) -> None:
    documented = DOCUMENT.partition("```json\n")[2].partition("```")[0]
    files = AppendLog(tmp_path, NAME)
    files.append([line.encode() + b"\n" for line in documented.splitlines()])
    records = [record for record in read(files, "5f0c7a52-…") if isinstance(record, Entry)]
    assert [(record.outcome.checkpoint, record.skipped, record.watermark) for record in records] == [
        ("ckpt-7", 0, 7),
        ("ckpt-8", 2, 8),
    ]
    written = [json.loads(render_line(record, "5f0c7a52-…", Primary("accuracy", Goal.MAXIMIZE))) for record in records]
    assert [line.keys() for line in written] == [json.loads(line).keys() for line in documented.splitlines()]


def test_the_documented_way_of_reading_reads_every_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = AppendLog(tmp_path / "output", NAME)
    files.append([render_line(Earlier(Counts(1)), "run")])
    (tmp_path / "output" / "results-0002.jsonl").write_bytes(
        render_line(Entry(evaluated("ckpt-7", number=7, step=700, accuracy=float("nan"))), "run")
    )
    monkeypatch.chdir(tmp_path)
    exec(DOCUMENT.partition("```python\n")[2].partition("```")[0])
    assert capsys.readouterr().out == "None None {}\n700 evaluated {'accuracy': nan, 'loss': nan}\n"


def test_a_run_is_known_by_its_resource_or_by_its_directory(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(tmp_path / "run-1")
    assert run_identity("uid-1", tmp_path) == "uid-1"
    assert run_identity(None, tmp_path / "run-1") == run_identity(None, tmp_path / "latest")
    assert run_identity(None, tmp_path / "run-1") != run_identity(None, tmp_path / "run-2")
    assert run_identity(None, tmp_path / "run-\udcff")
