"""A run of the evaluator that kills itself at its n-th touch of the outside world of one kind.

`lives` forks; the child calls the real `run` with the real journal, copies, loop and writers. Only
the model, the API server (a file), the clock and TensorBoard are stand-ins. Everything that the
child does to the outside goes through a point: a look, a read, a score, a write of the status, and
each call of `os` that changes a file, which may also be torn in the middle.
"""

import json
import os
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator import assembly
from sidecar_evaluator.checkpoints import registry
from sidecar_evaluator.checkpoints.interface import Checkpoint, Weights
from sidecar_evaluator.commands import config, flags, run, session, writer_setup
from sidecar_evaluator.discovery.directory import Directory, Listing
from sidecar_evaluator.evaluator import Loaded
from sidecar_evaluator.results.outcome import Score
from sidecar_evaluator.writers.interface import Report
from support.waiting import DEADLINE
from unit.evaluator.support.fakes import FakeChangeWaiter, FakeClock, FakeFormat

SENTINEL = "training.finished"
_CHANGING = ("unlink", "rmdir", "mkdir", "rename", "replace", "truncate", "ftruncate")
_rename = os.rename  # that of training and of the API server, which are not killed


@dataclass(frozen=True)
class World:
    """What outlives a process: the files of one run, of its training and of its API server."""

    root: Path
    accuracies: dict[str, float]
    flags: tuple[str, ...]

    @property
    def checkpoints(self) -> Path:
        return self.root / "ckpt"

    @property
    def output(self) -> Path:
        return self.root / "output"

    def status(self) -> dict[str, Any]:
        path = self.root / "status.json"
        status: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return status

    def lines(self) -> list[dict[str, Any]]:
        """Return the whole lines of the journal; a torn one is none."""
        entries = []
        for path in sorted(self.output.glob("results*.jsonl")):
            for line in path.read_bytes().splitlines(keepends=True):
                with suppress(json.JSONDecodeError):
                    entries += [json.loads(line)] if line.endswith(b"\n") else []
        return entries

    def points(self) -> set[str]:
        """Return the kinds of points that the last whole run touched."""
        return set((self.root / "points").read_text().split())

    def scored(self) -> list[str]:
        path = self.root / "scored"
        return path.read_text().split() if path.exists() else []


def lives(world: World, killed_at: tuple[str, int] = ("", 0)) -> bool:
    """Run in a child that is killed at the n-th point of a kind; return whether it went to its end."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            signal.alarm(int(DEADLINE))
            code = _live(world, killed_at)
        except BaseException:
            (world.root / "error").write_text(traceback.format_exc())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status == 0:
        return True
    trouble = world.root / "error"
    assert os.WIFSIGNALED(status), trouble.read_text() if trouble.exists() else f"exit status {status}"
    assert os.WTERMSIG(status) == signal.SIGKILL
    return False


def _live(world: World, killed_at: tuple[str, int]) -> int:
    killer = Killer(*killed_at)
    with pytest.MonkeyPatch.context() as patch:
        clock = FakeClock()
        patch.setattr(registry, "FORMATS", {**registry.FORMATS, "Fake": Plain})
        patch.setattr(session, "SystemClock", lambda: clock)
        patch.setattr(assembly, "directory_waiter", lambda _path, stop, _file_system: NoWait(clock, stop))
        for module in (assembly, session):
            patch.setattr(module, "Directory", lambda path, name, **_: TrainedDirectory(world, killer, path, name))
        patch.setattr(session, "KubernetesResource", lambda _reference: FileResource(world, killer))
        patch.setattr(writer_setup, "TensorBoardWriter", NoWriter)
        patch.setattr(run, "evaluator_of", lambda *_: FakeEvaluator(world, killer))
        patch.setattr(run, "stop_on_signals", lambda *_: None)
        killer.watch(patch)
        code = int(run.run(_config(world)))
    (world.root / "points").write_text(" ".join(killer.counts))
    return code


def _config(world: World) -> config.Config:
    always = [f"--checkpoint-dir={world.checkpoints}", "--entrypoint=none:none", f"--training-finished-file={SENTINEL}"]
    parsed = config.from_arguments(flags.parser().parse_args(["run", *always, *world.flags]))
    return replace(parsed, model=replace(parsed.model, format="Fake"), port=0)


class Killer:
    """Counts points by their kind, and kills the process at the one that was asked for."""

    def __init__(self, kind: str, number: int) -> None:
        self.counts = Counter[str]()
        self._at = (kind, number)
        self._lock = threading.Lock()

    def point(self, kind: str, last_deed: Callable[[], object] = lambda: None) -> None:
        with self._lock:
            self.counts[kind] += 1
            if (kind, self.counts[kind]) == self._at:
                last_deed()
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Make a point of every call of `os` that changes a file."""
        for name in _CHANGING:
            patch.setattr(os, name, self._watched(name, getattr(os, name)))
        real_open, real_write = os.open, os.write

        def open_file(path: Any, flags: int, *arguments: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR):
                self.point("open")
            return real_open(path, flags, *arguments)

        def write(file: int, content: Any) -> int:
            self.point("write")
            self.point("torn-write", lambda: real_write(file, bytes(content)[: len(content) // 2]))
            return real_write(file, content)

        patch.setattr(os, "open", open_file)
        patch.setattr(os, "write", write)
        patch.setattr(os, "fsync", lambda _file: self.point("fsync"))  # a killed process loses no written page

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            self.point(name)
            return real(*arguments, **keywords)

        return call


class Plain(FakeFormat):
    """One file a checkpoint."""

    def claim(self, name: str, *, is_directory: bool) -> str | None:
        return None if is_directory or name == SENTINEL else name


class TrainedDirectory(Directory):
    """A directory into which training saves two more checkpoints before each look."""

    def __init__(self, world: World, killer: Killer, path: Path, format_name: str) -> None:
        super().__init__(path, format_name)
        self._world, self._killer = world, killer
        self._training = threading.Lock()

    def look(self) -> Listing:
        self._killer.point("look")
        with self._training:
            self._train()
        return super().look()

    def _train(self) -> None:
        """Save what comes next, each written elsewhere so that no look sees a part of it."""
        names = list(self._world.accuracies)
        missing = [name for name in names if not (self.path / name).exists()]
        for name in missing[:2]:
            part = self._world.root / "part"
            part.write_bytes(f"weights of {name}".encode() * 100)
            os.utime(part, ns=(0, (names.index(name) + 1) * 1_234_567_891))
            _rename(part, self.path / name)
        if not missing:
            (self.path / SENTINEL).write_bytes(b"")


class FakeEvaluator:
    """Scores a checkpoint as the world says; notes down what it scored."""

    examples = 0

    def __init__(self, world: World, killer: Killer) -> None:
        self._world, self._killer = world, killer

    def read(self, checkpoint: Checkpoint) -> Weights:
        self._killer.point("read")
        return Weights((), None)

    def pass_size(self, waiting: int, weights_size: int) -> int:
        return min(waiting, 2)

    def score(self, loaded: Sequence[Loaded]) -> list[tuple[Score, ...]]:
        self._killer.point("score")
        names = [one.checkpoint.name for one in loaded]
        with (self._world.root / "scored").open("a") as file:
            file.write("".join(f"{name}\n" for name in names))
        self._killer.point("scored")
        return [(Score("loss", 1.0), Score("accuracy", self._world.accuracies[name])) for name in names]

    def export(self, weights: Weights, path: Path) -> None:
        raise AssertionError("the checkpoint's own files are there")


class FileResource:
    """A resource whose status is a file, replaced as a whole as the API server does."""

    def __init__(self, world: World, killer: Killer) -> None:
        self._world, self._killer = world, killer

    def read(self) -> dict[str, Any]:
        return {"metadata": {"uid": "uid-1"}, "status": {"results": self._world.status()}}

    def apply_results(self, results: dict[str, Any]) -> None:
        self._killer.point("apply")
        part = self._world.root / f"status.{threading.get_ident()}"
        part.write_text(json.dumps(results, allow_nan=False))
        _rename(part, self._world.root / "status.json")
        self._killer.point("applied")


class NoWait(FakeChangeWaiter):
    """Waits that cost nothing."""

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass


class NoWriter:
    """In the place of TensorBoard's writer."""

    def __init__(self, *_arguments: object, **_named: object) -> None:
        pass

    def write(self, report: Report) -> None:
        pass

    def flush(self, timeout: float) -> bool:
        return True

    def close(self) -> None:
        pass
