"""Functions in processes of their own, so that one's memory and threads do not disturb another's measurement.

    call("benchmarks.memory:bare", keras="keras")              # what the function reports last
    with Child("benchmarks.detection:follow", side="peer") as child:
        child.next_report(60)                                  # whatever it reports, one by one

The function's first argument is `report`, which sends a JSON value to the parent. It may wait for `child.ask` by
reading lines of standard input. Standard output of a child goes to its log, with its errors; the end of the log is in
the error that is raised when it fails.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select
from types import TracebackType
from typing import IO, Any, Self

from cluster.processes import DIE_WITH_PARENT

Report = Callable[[Any], None]

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "PYTHONUNBUFFERED": "1"}
_LOG_LINES = 25


_SECONDS_TO_EXIT = 30


class ChildError(Exception):
    """A child failed, or said nothing for too long."""


class _EndedError(ChildError):
    """A child has nothing more to say."""


class Child:
    """A function that runs in a new process; ends with its `with` block."""

    def __init__(self, function: str, **arguments: Any) -> None:
        self._function = function
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the child ends
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "benchmarks.processes", function, json.dumps(arguments), str(writing)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", DIE_WITH_PARENT, str(os.getpid()), *command],
            env={**os.environ, **_QUIET, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            pass_fds=[writing],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        os.close(writing)
        self._reports = os.fdopen(reading, "rb", buffering=0)
        self._unread = b""

    def next_report(self, limit: float) -> Any:
        """Return the next value that the function reports, waiting at most `limit` seconds.

        Raises ChildError: it failed, ended without one, or took longer.
        """
        deadline = time.monotonic() + limit
        while b"\n" not in self._unread:
            ready, _, _ = select([self._reports], [], [], max(deadline - time.monotonic(), 0))
            more = self._reports.read(65536) if ready else None
            if not ready:
                raise ChildError(self._complaint(f"reported nothing for {limit:g} s"))
            if not more:
                self.process.wait(_SECONDS_TO_EXIT)  # what it dies of comes last
                raise _EndedError(self._complaint("ended"))
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    def ask(self, limit: float) -> Any:
        """Let the function read one line of its standard input; return what it reports then."""
        assert self.process.stdin
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self.next_report(limit)

    def reports(self, limit: float) -> Iterator[Any]:
        """Yield what the function reports until its end, waiting at most `limit` seconds for each.

        Raises ChildError: it failed, or took longer.
        """
        while True:
            try:
                value = self.next_report(limit)
            except _EndedError as error:
                if self.process.returncode:
                    raise ChildError(str(error)) from error
                return
            yield value

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin
        self.process.stdin.close()
        self._reports.close()
        self._log.close()

    def _complaint(self, what: str) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join([f"{self._function} {what}", *lines])


def call(function: str, limit: float = 300, **arguments: Any) -> Any:
    """Run a function in a new process and return what it reports last, None if nothing."""
    with Child(function, **arguments) as child:
        return deque([None, *child.reports(limit)], maxlen=1).pop()


def main() -> None:
    """Run the function that the command line names."""
    function, arguments, descriptor = sys.argv[1:]
    module, _, name = function.partition(":")
    with os.fdopen(int(descriptor), "w") as reports:

        def report(value: Any) -> None:
            print(json.dumps(value), file=reports, flush=True)

        getattr(importlib.import_module(module), name)(report, **json.loads(arguments))


if __name__ == "__main__":
    main()
