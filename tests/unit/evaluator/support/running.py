"""`sidecar-evaluator run` as a process with a fake model, which spares it TensorFlow, and with empty checkpoints."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from support.waiting import DEADLINE

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
from sidecar_evaluator.runtime import readiness

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
readiness.SILENCE_SECONDS = float(os.environ.get("SILENCE_SECONDS", readiness.SILENCE_SECONDS))
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


def read(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("", 0))
        return int(bound.getsockname()[1])
