"""The command as a process: signals, deadlines, probes, the way out. A fake model spares it TensorFlow."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar_evaluator.commands import shutdown
from support.waiting import DEADLINE, until

CODE = """
import itertools, pathlib, sys, threading, types
from sidecar_evaluator import Evaluation

keras = sys.modules["keras"] = types.ModuleType("keras")
keras.callbacks = types.SimpleNamespace(Callback=object)
scoring = ("evaluate", "make_test_function", "test_step", "compute_metrics", "compute_loss")
keras.Model = types.SimpleNamespace(**dict.fromkeys(scoring))
keras.layers = types.SimpleNamespace(Layer=object)
tensorflow = sys.modules["tensorflow"] = types.ModuleType("tensorflow")
tensorflow.nest = types.SimpleNamespace(flatten=lambda structure: [structure])

class Model:
    compiled = built = True
    loss, optimizer, metrics, weights, distribute_strategy = "mse", None, [], [], None

    def evaluate(self, x, steps, callbacks, verbose, return_dict):
        batches = {"none": (), "endless": itertools.count(), "one that hangs": (0,)}[x]
        for batch in batches:
            for callback in callbacks:
                callback.on_test_batch_begin(batch)
            pathlib.Path("in-a-batch").touch()
            if x == "one that hangs":
                threading.Event().wait()
        return {"loss": 0.25}

def build(batches: str = "none"):
    return Evaluation(Model(), batches)
"""

# A format of empty files, so that neither TensorFlow nor Keras is imported.
DRIVER = """
import os, sys
from sidecar_evaluator.commands import shutdown
from sidecar_evaluator.checkpoints import registry
from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, Weights
from sidecar_evaluator.commands.main import main

class Empty(CheckpointFormat):
    name = "Empty"

    def claim(self, name, *, is_directory):
        return name.removesuffix(".empty") if name.endswith(".empty") else None

    def assemble(self, directory, name, files):
        return Checkpoint(name, directory / name, self, tuple(files.values()))

    def inspect(self, checkpoint):
        return ""

    def read(self, checkpoint, model):
        return Weights((), None)

registry.FORMATS["Empty"] = Empty
shutdown.GRACE_SECONDS = float(os.environ.get("GRACE_SECONDS", shutdown.GRACE_SECONDS))
sys.exit(main())
"""


class Process:
    """A started `sidecar-evaluator run` with the fake model in a directory of its own."""

    def __init__(self, directory: Path, *flags: str) -> None:
        self.directory = directory
        (directory / "evaluate.py").write_text(CODE)
        (directory / "ckpt").mkdir(exist_ok=True)
        self.log = directory / "termination-log"
        self.log.touch()
        command = [sys.executable, "-c", DRIVER, "run", "--checkpoint-dir=ckpt"]
        common = ["--entrypoint=evaluate:build", f"--termination-log={self.log}"]
        self.process = subprocess.Popen(
            [*command, *common, *flags], cwd=directory, stderr=subprocess.PIPE, text=True, env=os.environ
        )

    def save(self, number: int) -> None:
        (self.directory / "ckpt" / f"ckpt-{number}.empty").touch()

    def finish(self) -> None:
        (self.directory / "ckpt" / "training.finished").touch()

    def wait(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, errors


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []

    def make(*flags: str) -> Process:
        started.append(Process(tmp_path, *flags))
        return started[-1]

    yield make
    for process in started:
        process.process.kill()
        process.process.communicate()


def read(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def free_port() -> int:
    import socket

    with socket.socket() as bound:
        bound.bind(("", 0))
        return int(bound.getsockname()[1])


def test_it_exits_with_0_once_all_is_evaluated(start: Start) -> None:
    process = start("--selection=Every")
    process.save(1)
    process.save(2)
    process.finish()
    code, errors = process.wait()
    assert code == 0
    assert errors.count("End of evaluation. Metrics: loss=0.25") == 2


@pytest.mark.parametrize(("batches", "grace"), [("endless", 10 * DEADLINE), ("one that hangs", 0.1)])
def test_sigterm_ends_it_after_the_batch_in_hand_and_a_batch_that_hangs_after_the_grace_period(
    batches: str, grace: float, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRACE_SECONDS", str(grace))
    process = start(f"--parameter=batches={batches}")
    process.save(1)
    until((process.directory / "in-a-batch").exists)
    process.process.send_signal(signal.SIGTERM)
    code, errors = process.wait()
    assert code == 143
    assert "End of evaluation" not in errors


def test_the_grace_period_is_shorter_than_five_seconds() -> None:
    assert shutdown.GRACE_SECONDS < 5


def test_an_evaluation_past_its_limit_is_failed_and_the_process_ends(start: Start) -> None:
    process = start("--parameter=batches=one that hangs", "--evaluation-timeout=0.5")
    process.save(1)
    code, errors = process.wait()
    assert code == 1
    assert "Checkpoint ckpt-1 failed (TimedOut)" in errors


def test_it_is_ready_once_model_and_directory_are_there(start: Start) -> None:
    port = free_port()
    process = start(f"--port={port}")
    until(lambda: read(port, "/readyz") == "ok\n")
    assert read(port, "/healthz") == "ok\n"
    process.save(5)
    until(lambda: "sidecareval_checkpoint_step 5.0" in read(port, "/metrics"))
    process.finish()
    assert process.wait()[0] == 0


def test_a_directory_that_does_not_exist_yet_is_waited_for_and_not_ready(start: Start) -> None:
    port = free_port()
    process = start(f"--port={port}", "--checkpoint-dir=later")
    until(lambda: read(port, "/healthz") == "ok\n")
    until(lambda: 'phase="waiting"' in read(port, "/metrics"))
    assert read(port, "/readyz") == ""
    (process.directory / "later").mkdir()
    until(lambda: read(port, "/readyz") == "ok\n")


def test_a_checkpoint_that_training_writes_again_is_evaluated_again(start: Start) -> None:
    process = start("--output-dir=output", "--parameter=batches=none", "--selection=Every")
    for number in (1, 2):
        process.save(number)
    lines = process.directory / "output" / "results.jsonl"

    def settled() -> list[tuple[str, bool]]:
        entries = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
        return [(entry["checkpoint"], entry.get("writtenAgain", False)) for entry in entries]

    until(lambda: len(settled()) == 2)
    an_hour_later = time.time() + 3600
    os.utime(process.directory / "ckpt" / "ckpt-1.empty", (an_hour_later, an_hour_later))
    until(lambda: len(settled()) == 3)
    process.finish()
    assert process.wait()[0] == 0
    assert settled() == [("ckpt-1", False), ("ckpt-2", False), ("ckpt-1", True)]


def test_a_wrong_entry_point_exits_with_78_and_says_why(start: Start) -> None:
    process = start("--entrypoint=evaluate:bild")
    code, errors = process.wait()
    assert code == 78
    assert "has no bild" in process.log.read_text()
    assert "Traceback" not in errors


def test_without_a_cluster_a_resource_exits_with_78(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", json.dumps("/nonexistent"))
    code, errors = start("--resource=ns/name").wait()
    assert code == 78
    assert "--resource needs a cluster" in errors
