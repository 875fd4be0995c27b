"""Evaluators without the wait: a process that has imported TensorFlow, and forks one for each command line.

`process` starts it once (`python -m mounts.warm`) and asks by lines of JSON: {"argv": [...], "log": "..."} in,
{"started": pid} out, and {"ended": pid, "code": n} when that one has ended. An evaluator is a process of its own like
any other: it has its own log, can be killed, and dies with this one. TensorFlow has not run anything before the fork.
"""

import ctypes
import faulthandler
import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

_IMPORTED = ("keras", "tensorflow", "h5py", "sidecar_evaluator.commands.run", "unit.evaluator.support.models")
_PDEATHSIG = 1
_PAUSE = 0.05


def main() -> None:
    """Serve standard input until it is closed."""
    for name in _IMPORTED:
        importlib.import_module(name)
    running: set[int] = set()
    while True:
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.discard(pid)
                _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})
        if select.select([sys.stdin], [], [], _PAUSE)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            running.add(_start(json.loads(line)))


def _start(wanted: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        _say({"started": pid})
        return pid
    code = 1
    try:
        code = _evaluator(wanted["argv"], Path(wanted["log"]))
    finally:
        sys.stderr.flush()
        os._exit(code)


def _evaluator(argv: list[str], log: Path) -> int:
    from sidecar_evaluator.commands.main import main as command

    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    faulthandler.register(signal.SIGUSR1, file=2)  # where every thread is, for a test that waits in vain
    try:
        return command(argv)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1


def _say(words: dict[str, int]) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main()
