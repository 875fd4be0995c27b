"""Processes of ours: started, known again later, and stopped, never another one's.

A process is known by its id together with its start time and the machine's boot, since the kernel gives ids out
again. The whole node's processes are recorded in files; those of the lone API server die with their parent.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.errors import ClusterError

PROC = Path("/proc")
KILLED_SECONDS = 120.0  # a killed process is gone at once, but for one that the kernel holds
# Becomes the program after asking the kernel for SIGKILL when its parent dies; ends at once if it is dead already.
DIE_WITH_PARENT = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,9);"
    "os.getppid()==int(sys.argv[1]) or os._exit(1);"
    "os.execv(sys.argv[2],sys.argv[2:])"
)


@dataclass(frozen=True)
class ProcessRecord:
    """A process that cannot be mistaken for a later one with the same id."""

    pid: int
    started: int
    boot: str
    program: str = ""

    @classmethod
    def of(cls, pid: int, proc: Path = PROC, program: str = "") -> "ProcessRecord":
        """Record a process that runs now; ProcessLookupError if there is none."""
        state = _state(pid, proc)
        if state is None:
            raise ProcessLookupError(pid)
        return cls(pid, state[1], boot_id(proc), program)

    def alive(self, proc: Path = PROC) -> bool:
        """Say whether this very process runs; a zombie does not."""
        state = _state(self.pid, proc)
        return state is not None and state == ("", self.started) and self.boot == boot_id(proc)

    def signal(self, number: int) -> None:
        """Send a signal if this very process still runs."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def boot_id(proc: Path = PROC) -> str:
    """Return the id that the kernel gave to this boot of the machine."""
    return (proc / "sys/kernel/random/boot_id").read_text().strip()


def _state(pid: int, proc: Path) -> tuple[str, int] | None:
    """Return ("Z" for a zombie else "", start time in ticks since boot), or None without such a process."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return ("Z" if fields[0] in "ZX" else "", int(fields[19]))


def naming(folder: Path, programs: Collection[str], proc: Path = PROC) -> list[ProcessRecord]:
    """Return the running processes of these program names that have a path below the folder in an argument."""
    records = []
    for path in proc.glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
            if Path(words[0]).name in programs and any(f"{folder}/" in word for word in words):
                records.append(ProcessRecord.of(int(path.parent.name), proc))
        except OSError:
            continue  # it ended meanwhile
    return records


def spawn(
    argv: Sequence[str | Path], log: Path, *, die_with_parent: bool = False, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in its own session, its output in the log file.

    With `die_with_parent` the kernel kills it when the calling thread ends, however that happens: call it from
    a thread that lives long enough.
    """
    command = [str(part) for part in argv]
    if die_with_parent:
        command = [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid()), *command]
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            cwd=log.parent,
            start_new_session=True,
        )


def stop(record: ProcessRecord, grace: float = 10.0) -> None:
    """End a process: SIGTERM, then SIGKILL where that takes more than `grace` seconds; return when it is gone."""
    record.signal(signal.SIGTERM)
    if not poll(lambda: not record.alive(), grace):
        record.signal(signal.SIGKILL)
        poll(lambda: not record.alive(), KILLED_SECONDS)


def poll(condition: Callable[[], object], seconds: float, pause: float = 0.03) -> bool:
    """Say whether the condition came true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


@dataclass(frozen=True)
class Records:
    """The recorded processes of a node: one file each, named as the program's role."""

    folder: Path

    def write(self, name: str, record: ProcessRecord) -> None:
        """Record a process under its role."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.json").write_text(json.dumps(asdict(record)))

    def read(self) -> dict[str, ProcessRecord]:
        """Return all records by role; a half-written file counts as none."""
        records = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                records[path.stem] = ProcessRecord(**json.loads(path.read_text()))
            except (ValueError, TypeError):
                continue
        return records

    def forget(self, name: str) -> None:
        """Remove a role's record."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)


def require_running(process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    """Raise with the end of its log if a started program has ended."""
    if process.poll() is not None:
        raise ClusterError(f"{name} ended with code {process.returncode}; the end of {log}:\n{log_end(log)}")


def log_end(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, each cut to a readable width."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(line[:300] for line in text.splitlines()[-lines:])
