"""From the start of the process to the first look at the checkpoints, beside what cannot be left out.

Ours is the command `run` as in a pod; the kernel tells when it opens the directory, for asking it would slow it down.
The limit is a process that imports TensorFlow and the model's Keras and builds the same model and data. Both are
started anew each time, in turn, with the files of both in the page cache.
"""

import http.client
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from inotify_simple import INotify, flags

from benchmarks import measure, processes, workload
from benchmarks.rows import Bound, Budget, Row, Unit
from benchmarks.workload import WRITTEN_AS

TITLE = "Process start → watching; limit: import TensorFlow and build the model"
ROUNDS = 5
STARTED_WITHIN = 300
BUDGETS = (Budget(Bound.OF_LIMIT, 1.15),)
READY_WITHIN = 300


def rows(scratch: Path) -> Iterator[Row]:
    """Start both sides in turn, for Keras 3 and tf_keras, after one start that fills the page cache."""
    directory = scratch / "cold-start"
    directory.mkdir()
    ours(workload.KERASES[0], directory)
    for keras in workload.KERASES:
        sides = {"ours": partial(ours, keras, directory), "limit": partial(limit, keras)}
        figures = measure.in_turn(sides, ROUNDS)
        yield Row(WRITTEN_AS[keras], Unit.SECONDS, figures["ours"], limit=figures["limit"], budgets=BUDGETS)


def ours(keras: str, directory: Path) -> float:
    """Return the seconds from the start of an evaluator until it watches the directory."""
    port = measure.free_port()
    with INotify() as opened:
        opened.add_watch(directory, flags.OPEN)
        began = time.monotonic()
        with processes.Child("benchmarks.cold_start:run", keras=keras, directory=str(directory), port=port):
            if not opened.read(timeout=STARTED_WITHIN * 1000):
                raise TimeoutError(f"the directory was not looked at within {STARTED_WITHIN} s")
            taken = time.monotonic() - began
            measure.until(partial(_is_ready, port), READY_WITHIN)
    return taken


def limit(keras: str) -> float:
    """Return the seconds from the start of a process until it has built the model."""
    began = time.monotonic()
    return float(processes.call("benchmarks.cold_start:bare", STARTED_WITHIN, keras=keras)) - began


def run(_report: processes.Report, keras: str, directory: str, port: int) -> None:
    """Evaluate by the command until it is ended from outside."""
    from sidecar_evaluator.commands import main

    main.main(
        [
            *("run", f"--checkpoint-dir={directory}", "--entrypoint=benchmarks.workload:evaluation"),
            *(f"--parameter=keras={keras}", f"--port={port}"),
        ]
    )


def bare(report: processes.Report, keras: str) -> None:
    """Build the model and its data with nothing around them."""
    import tensorflow as tf

    assert tf.version.VERSION
    workload.cnn(workload.module(keras))
    workload.dataset(*workload.images())
    report(time.monotonic())


def _is_ready(port: int) -> bool:
    asked = http.client.HTTPConnection("127.0.0.1", port)
    asked.request("GET", "/readyz")
    return asked.getresponse().status == 200
