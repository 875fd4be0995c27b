"""The command line: runs a command, and turns how it ended into an exit code and a message.

`main` is what the console script and `python -m sidecar_evaluator` call; `flags` has the flags. A
configuration error is one sentence on standard error and in the pod's termination message, never a
wall of frames.
"""

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from sidecar_evaluator.commands.flags import TERMINATION_LOG, parse
from sidecar_evaluator.errors import (
    CheckpointError,
    ConfigurationError,
    ExitCode,
    IterationsMissingError,
    ModelCodeError,
    StorageGoneError,
    first_line,
)
from sidecar_evaluator.runtime.log_format import PlainFormatter, plain

_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        arguments = parse(argv)
    except ConfigurationError as error:
        return _end(ExitCode.CONFIGURATION, str(error), TERMINATION_LOG)
    _set_up_logging(arguments)
    try:
        return _COMMANDS[arguments.command](arguments)
    except (Exception, KeyboardInterrupt) as error:
        return _failed(error, getattr(arguments, "termination_log", Path(os.devnull)))


def _failed(error: BaseException, termination_log: Path) -> int:
    """Say in one sentence what ended the command; return the exit code that tells it."""
    match error:
        case ConfigurationError() | IterationsMissingError():
            return _end(ExitCode.CONFIGURATION, str(error), termination_log, getattr(error, "detail", ""))
        case StorageGoneError():
            return _end(ExitCode.STORAGE_GONE, str(error), termination_log)
        case ModelCodeError():
            _log.error("The model's code failed.", exc_info=error)
            return _end(ExitCode.ERROR, str(error), termination_log)
        case CheckpointError():
            return _end(ExitCode.ERROR, str(error), termination_log)
        case KeyboardInterrupt():
            return _end(ExitCode.TERMINATED, "interrupted", termination_log)
    _log.error("Unforeseen error.", exc_info=error)
    return _end(ExitCode.ERROR, first_line(error), termination_log)


def _run(arguments: Namespace) -> int:
    from sidecar_evaluator.commands import config, run

    return run.run(config.from_arguments(arguments))


def _check(arguments: Namespace) -> int:
    from sidecar_evaluator.commands import check, config

    return check.check(config.check_from_arguments(arguments))


def _ls(arguments: Namespace) -> int:
    from sidecar_evaluator.commands import config, ls

    patterns = config.patterns_from(arguments)
    return ls.ls(arguments.checkpoint_dir, arguments.format, patterns, as_json=arguments.json)


_COMMANDS: dict[str, Callable[[Namespace], int]] = {"run": _run, "check": _check, "ls": _ls}


def _set_up_logging(arguments: Namespace) -> None:
    usual = logging.INFO if arguments.command == "run" else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.DEBUG if arguments.verbose else usual, handlers=[handler])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's own chatter hides what happens here
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def _end(code: ExitCode, message: str, termination_log: Path, detail: str = "") -> int:
    if detail:
        print(detail.rstrip(), file=sys.stderr)  # noqa: T201 - the user's own traceback, as Python would show it
    print(f"sidecar-evaluator: {plain(message)}", file=sys.stderr)  # noqa: T201 - the command's own error output
    if termination_log.exists():
        try:
            termination_log.write_text(message[:4096])
        except OSError as error:
            _log.warning("The termination message could not be written: %s", error)
    return code
