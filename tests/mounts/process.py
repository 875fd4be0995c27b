"""The whole `sidecar-evaluator run` as a process, and what it leaves in its output directory."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.processes import log_end, poll, spawn

SECONDS = 180.0
_TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Evaluator:
    """A running `sidecar-evaluator run`."""

    process: subprocess.Popen[bytes]
    log: Path

    def says(self, text: str) -> bool:
        """Tell whether its log has a text."""
        return text in self.log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until its log has a text."""
        found = poll(lambda: self.says(text) or self.process.poll() is not None, SECONDS)
        assert found, f"{text!r} is not logged:\n{log_end(self.log)}"
        assert self.says(text), f"ended with {self.process.returncode} before {text!r}:\n{log_end(self.log, 40)}"

    def exit_code(self) -> int:
        """Wait for its end."""
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{log_end(self.log)}") from None


@contextmanager
def evaluator(checkpoints: Path, log: Path, *flags: str) -> Iterator[Evaluator]:
    """Run the evaluator on a directory, every checkpoint, with the small model; kill it at the end if it still runs."""
    common = ("--selection", "Every", "--entrypoint", "mounts.training:build", "--verbose")
    command: list[str | Path] = [sys.executable, "-m", "sidecar_evaluator", "run", "--checkpoint-dir", checkpoints]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    environment = {**os.environ, **quiet, "PYTHONPATH": str(_TESTS)}
    process = spawn([*command, *common, *flags], log, die_with_parent=True, env=environment)
    try:
        yield Evaluator(process, log)
    finally:
        process.kill()
        process.wait()


def lines(output: Path) -> list[dict[str, Any]]:
    """Return the lines of results.jsonl, and of the segments beside it, in the order of writing."""
    found = []
    for path in sorted(output.glob("results*.jsonl"), key=lambda path: (len(path.name), path.name)):
        found += [json.loads(line) for line in path.read_bytes().splitlines()]
    return found


def summaries(output: Path) -> dict[tuple[str, int], float]:
    """Return what TensorBoard would show: the value of each tag at each step."""
    import tensorflow as tf

    found = {}
    for path in sorted((output / "validation").glob("events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found
