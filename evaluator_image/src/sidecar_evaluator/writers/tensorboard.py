"""Scores as TensorBoard summaries, for `tensorboard --logdir OUTPUT`.

The tags and the `validation` directory are those that Keras's own TensorBoard callback writes in an
evaluation, so that both show in the same charts. Several datasets get a directory each below it.
TensorFlow's own writer is of no use here: it keeps all of TensorFlow waiting while it makes a file,
and with it the evaluation where the output's mount is slow or hangs.
"""

import errno
import io
import itertools
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sidecar_evaluator.results.outcome import DEFAULT_DATASET, Outcome, Score
from sidecar_evaluator.writers.interface import Report

_VERSION = "brain.Event:2"


class TensorBoardWriter:
    """Writes event files below `<directory>/validation`.

    With `closes_files` each report has a file of its own: a bucket shows a file only once it is closed.
    """

    def __init__(self, directory: Path, *, closes_files: bool = False) -> None:
        self._directory = directory / "validation"
        self._closes_files = closes_files
        self._files: dict[str, BinaryIO] = {}
        self._numbers = itertools.count()

    def write(self, report: Report) -> None:
        """Write each score at the checkpoint's step; without a step there is no place on the axis.

        Raises OSError: they could not be written; a later attempt begins another file.
        """
        if report.outcome is None or report.outcome.step is None:
            return
        for dataset in {score.dataset: None for score in report.outcome.scores}:
            self._append(dataset, _records(report.outcome, dataset))
        if self._closes_files:
            self.close()

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - the interface's signature
        """Return True: nothing is buffered."""
        return True

    def close(self) -> None:
        """Close the files."""
        while self._files:
            self._files.popitem()[1].close()

    def _append(self, dataset: str, records: bytes) -> None:
        open_file = self._files.pop(dataset, None)
        file = open_file or self._new_file(dataset)
        records = records if open_file else _header() + records
        try:
            if file.write(records) != len(records):
                raise OSError(errno.ENOSPC, "only a part of an event could be written")
        except OSError:
            with suppress(OSError):
                file.close()
            if not open_file:  # each attempt begins a file: on a full disk they would add up
                Path(file.name).unlink(missing_ok=True)
            raise
        self._files[dataset] = file

    def _new_file(self, dataset: str) -> BinaryIO:
        """Make a file; TensorBoard reads those of a directory in the order of their names."""
        place = self._directory if dataset == DEFAULT_DATASET else self._directory / dataset
        place.mkdir(parents=True, exist_ok=True)
        begun = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}"
        while True:
            with suppress(FileExistsError):  # of an earlier process with the same number
                return (place / f"{begun}.{next(self._numbers):06}.v2").open("xb", buffering=0)


def tag(score: Score) -> str:
    """Return the summary's name for a metric."""
    return f"evaluation_{score.name}_vs_iterations"


def _header() -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event

    return _record(Event(wall_time=time.time(), file_version=_VERSION).SerializeToString())


def _records(outcome: Outcome, dataset: str) -> bytes:
    """Return one event for each score of a dataset, as they stand in a file."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    scores = [score for score in outcome.scores if score.dataset == dataset]
    summaries = [scalar_pb(tag(score), score.value) for score in scores]
    events = (Event(wall_time=outcome.evaluated_at, step=outcome.step, summary=summary) for summary in summaries)
    return b"".join(_record(event.SerializeToString()) for event in events)


def _record(event: bytes) -> bytes:
    """Frame an event with its length and checksums."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    framed = io.BytesIO()
    RecordWriter(framed).write(event)
    return framed.getvalue()
