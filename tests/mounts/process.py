"""The whole `sidecar-evaluator run` as a process, and what it leaves in its output directory."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.processes import DIE_WITH_PARENT, log_end, poll
from support.waiting import DEADLINE

_TESTS = Path(__file__).parents[1]
_PIECE = 65536


@dataclass
class Evaluator:
    """A running `sidecar-evaluator run`."""

    pid: int
    log: Path
    warm: "Warm"

    def end_of_log(self) -> str:
        """Return the last lines of its log."""
        return log_end(self.log, 40)

    def where(self) -> str:
        """Let it log what each of its threads is doing; return the last lines of its log."""
        self.signal(signal.SIGUSR1)
        poll(lambda: self._says("most recent call first") or self.has_ended(), DEADLINE)
        return log_end(self.log, 120)

    def wait_for(self, text: str) -> None:
        """Wait until its log has a text."""
        poll(lambda: self._says(text) or self.has_ended(), DEADLINE)
        assert self._says(text), f"{text!r} is not logged:\n{self.where()}"

    def has_ended(self) -> bool:
        """Tell whether it has ended."""
        return self.warm.exit_code(self.pid) is not None

    def is_leaving(self) -> bool:
        """Tell whether all its threads have gone but those that the kernel cannot end yet."""
        try:
            states = [path.read_text() for path in Path(f"/proc/{self.pid}/task").glob("*/stat")]
        except OSError:
            return self.has_ended()
        return all(state.rpartition(")")[2].split()[0] in "DZX" for state in states)

    def exit_code(self) -> int:
        """Wait for its end."""
        assert poll(self.has_ended, DEADLINE), f"it does not end:\n{self.where()}"
        code = self.warm.exit_code(self.pid)
        assert code is not None
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if not self.has_ended():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _says(self, text: str) -> bool:
        return self.log.exists() and text in self.log.read_text(errors="replace")


@dataclass
class Warm:
    """The process that forks evaluators; see `warm`."""

    process: subprocess.Popen[bytes]
    _codes: dict[int, int] = field(default_factory=dict)
    _started: list[int] = field(default_factory=list)
    _unread: bytes = b""

    @contextmanager
    def evaluator(self, checkpoints: Path, log: Path, *flags: str) -> Iterator[Evaluator]:
        """Run the evaluator of the small model, for every checkpoint of a directory; end it at the end."""
        common = ["--selection", "Every", "--entrypoint", "mounts.training:build", "--verbose"]
        argv = ["run", "--checkpoint-dir", str(checkpoints), *common, *flags]
        self._ask({"argv": argv, "log": str(log)})
        assert poll(self._has_started, DEADLINE), "no evaluator was started"
        evaluator = Evaluator(self._started.pop(), log, self)
        try:
            yield evaluator
        finally:
            evaluator.signal(signal.SIGKILL)
            evaluator.exit_code()

    def exit_code(self, pid: int) -> int | None:
        """Return the exit code of an evaluator, None while it runs."""
        self._listen()
        return self._codes.get(pid)

    def _has_started(self) -> bool:
        self._listen()
        return bool(self._started)

    def _ask(self, wanted: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(wanted).encode() + b"\n")
        self.process.stdin.flush()

    def _listen(self) -> None:
        """Take in what it has said."""
        assert self.process.stdout is not None
        with suppress(BlockingIOError):
            self._unread += os.read(self.process.stdout.fileno(), _PIECE)
        *lines, self._unread = self._unread.split(b"\n")
        for message in map(json.loads, lines):
            if "started" in message:
                self._started.append(message["started"])
            else:
                self._codes[message["ended"]] = message["code"]


@contextmanager
def warm(log: Path) -> Iterator[Warm]:
    """Start the process that forks evaluators; they end with it."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(_TESTS)}
    command = [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid()), sys.executable, "-m", "mounts.warm"]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, **quiet}
        )
    assert process.stdin is not None
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    try:
        yield Warm(process)
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def lines(output: Path) -> list[dict[str, Any]]:
    """Return the lines of results.jsonl, and of the segments beside it, in the order of writing."""
    entries = []
    for path in sorted(output.glob("results*.jsonl"), key=lambda path: (len(path.name), path.name)):
        entries += [json.loads(line) for line in path.read_bytes().splitlines()]
    return entries


def summaries(output: Path) -> dict[tuple[str, int], float]:
    """Return what TensorBoard would show: the value of each tag at each step."""
    import tensorflow as tf

    values = {}
    for path in sorted((output / "validation").glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                values[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return values
