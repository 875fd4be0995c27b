"""The journal: every settled checkpoint as one JSON object a line of `results.jsonl`.

The JSON lines writer renders, `resume` reads at start. An outcome has the fields that it has in
`status.results.history`, untruncated. Each line names its run: lines of another run, such as that of
another resource with the same output, are ignored and never changed.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.results.ledger import Counts
from sidecar_evaluator.results.outcome import Outcome
from sidecar_evaluator.results.ranking import Primary
from sidecar_evaluator.results.serialization import parse_outcome, parse_time, render_outcome, render_time
from sidecar_evaluator.storage.append_log import AppendLog

_log = logging.getLogger(__name__)

NAME = "results"
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Entry:
    """A settled checkpoint, how many were passed over for it, and the ledger's watermarks after it, with their time."""

    outcome: Outcome
    skipped: int = 0
    watermark: int | None = None
    written_until: float | None = None
    watermark_numbers: str | None = None


@dataclass(frozen=True)
class Earlier:
    """Checkpoints that were settled without a line: before the journal began, or while it could not be written."""

    counts: Counts
    watermark: int | None = None
    written_until: float | None = None
    watermark_numbers: str | None = None


Record = Entry | Earlier


def run_identity(uid: str | None, checkpoint_dir: Path) -> str:
    """Return what tells this run's lines from others': the resource's uid, or the directory's digest."""
    return uid or hashlib.sha256(str(checkpoint_dir.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]


def render_line(record: Record, run: str, primary: Primary | None = None) -> bytes:
    """Return the record's line."""
    if isinstance(record, Entry):
        words = {**render_outcome(record.outcome, primary), "skipped": record.skipped}
    else:
        words = {"earlier": asdict(record.counts)}
    marked: dict[str, object] = {} if record.watermark is None else {"watermark": record.watermark}
    if record.watermark_numbers is not None:
        marked["watermarkNumbers"] = record.watermark_numbers
    if record.written_until is not None:
        marked["writtenUntil"] = render_time(record.written_until)
    line = {"run": run, **words, **marked}
    return json.dumps(line, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def read(files: AppendLog, run: str) -> Iterator[Record]:
    """Yield the run's records; leave out what is torn, and what a later version may have added.

    Raises OSError: the files cannot be read.
    """
    unreadable = 0
    for line in files.read():
        try:
            fields = json.loads(line)
            record = _parse(fields) if fields["run"] == run else None
        except _MALFORMED:
            unreadable += 1
        else:
            if record:
                yield record
    if unreadable:
        _log.warning("%d torn or foreign lines of %s are left out.", unreadable, files.directory / files.name)


def _parse(line: Mapping[str, Any]) -> Record | None:
    watermark = line.get("watermark")
    if watermark is not None:
        watermark = int(watermark)
    written_until = parse_time(line.get("writtenUntil")) or None
    numbers = line.get("watermarkNumbers")
    watermark_numbers = None if numbers is None else str(numbers)
    if "earlier" in line:
        counts = {name: int(line["earlier"].get(name, 0)) for name in asdict(Counts())}
        return Earlier(Counts(**counts), watermark, written_until, watermark_numbers)
    outcome = parse_outcome(line)
    return Entry(outcome, int(line.get("skipped", 0)), watermark, written_until, watermark_numbers) if outcome else None
