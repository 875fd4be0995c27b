"""The command line: flags, help, and how every ending becomes an exit code and a message.

`main` is what the console script and `python -m sidecar_evaluator` call. A configuration error is
one sentence on standard error and in the pod's termination message, never a wall of frames.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sidecar_evaluator import config, run
from sidecar_evaluator.best import Goal
from sidecar_evaluator.checkpoints.directory import AUTO, FORMATS
from sidecar_evaluator.errors import (
    ConfigurationError,
    ExitCode,
    IterationsMissingError,
    StorageGoneError,
    first_line,
)
from sidecar_evaluator.ledger import Selection
from sidecar_evaluator.training import SENTINEL

_log = logging.getLogger(__name__)

TERMINATION_LOG = Path("/dev/termination-log")

_EPILOG = """\
example:
  sidecar-evaluator run --checkpoint-dir=/tmp/run/ckpt --entrypoint=evaluate:build
  where evaluate.py has: def build(): return sidecar_evaluator.Evaluation(model, data)

exit codes:
  0    all is evaluated: training has finished, --max-evaluations or --no-checkpoint-timeout was reached
  1    an evaluation exceeded --evaluation-timeout, results could not be published, or an unforeseen error
  75   the mount of the checkpoints has died; a new pod gets a new one
  78   flags, entry point, model, or the way training saves checkpoints must be corrected
  143  stopped by SIGTERM
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        arguments = parser().parse_args(argv)
    except ConfigurationError as error:
        return _end(ExitCode.CONFIGURATION, str(error), TERMINATION_LOG)
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's own chatter hides what happens here
    logging.getLogger("kubernetes").setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        return run.run(config.from_arguments(arguments))
    except (ConfigurationError, IterationsMissingError) as error:
        return _end(ExitCode.CONFIGURATION, str(error), arguments.termination_log, getattr(error, "detail", ""))
    except StorageGoneError as error:
        return _end(ExitCode.STORAGE_GONE, str(error), arguments.termination_log)
    except Exception as error:
        _log.exception("Unforeseen error.")
        return _end(ExitCode.ERROR, first_line(error), arguments.termination_log)


def _end(code: ExitCode, message: str, termination_log: Path, detail: str = "") -> int:
    if detail:
        print(detail.rstrip(), file=sys.stderr)  # noqa: T201 - the user's own traceback, as Python would show it
    print(f"sidecar-evaluator: {message}", file=sys.stderr)  # noqa: T201 - the command's own error output
    if termination_log.exists():
        try:
            termination_log.write_text(message[:4096])
        except OSError as error:
            _log.warning("The termination message could not be written: %s", error)
    return code


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are configuration errors like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise ConfigurationError(f"{message}; see {self.prog} --help.")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; the operator renders what it reads."""
    parser = _Parser(
        prog="sidecar-evaluator",
        description="Evaluates the checkpoints of a training job as they finish.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "run",
        help="evaluate checkpoints until training has finished",
        description="Evaluates every checkpoint that --selection selects, as soon as it is complete.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_what(command.add_argument_group("what to evaluate"))
    _add_when(command.add_argument_group("when to stop"))
    _add_where(command.add_argument_group("where results go"))
    return parser


def _add_what(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--checkpoint-dir", type=Path, required=True, metavar="DIR", help="directory that training saves to")
    add("--entrypoint", required=True, metavar="MODULE:CALLABLE", help="returns Evaluation(model, data, ...)")
    add(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="keyword argument of the entry point, converted if annotated int, float or bool; repeatable",
    )
    add("--format", choices=[AUTO, *FORMATS], default=AUTO, help="format of the checkpoints (default: %(default)s)")
    add(
        "--selection",
        choices=list(Selection),
        default=Selection.LATEST,
        help="Latest: the newest wins, those passed over are counted; Every: all, in order (default: %(default)s)",
    )
    add("--steps", type=_positive, metavar="N", help="batches of one evaluation (default: as the entry point says)")
    add("--primary-metric", metavar="NAME", help="metric that decides which checkpoint is best")
    add("--goal", choices=list(Goal), default=Goal.MAXIMIZE, help="what is better (default: %(default)s)")


def _add_when(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--max-evaluations", type=_positive, metavar="N", help="stop at or past the checkpoint with this number")
    add(
        "--no-checkpoint-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="stop when no checkpoint has come for so long (default: wait for ever)",
    )
    add(
        "--evaluation-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="give up a checkpoint, and exit with 1, when its evaluation takes longer (default: no limit)",
    )
    add("--follow-training", action="store_true", help="stop when the resource says that training has ended")
    add(
        "--training-finished-file",
        default=SENTINEL,
        metavar="NAME",
        help="stop when a file of this name is in the checkpoint directory (default: %(default)s)",
    )


def _add_where(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--output-dir", type=Path, metavar="DIR", help="write TensorBoard logs to DIR/validation")
    add("--resource", metavar="NAMESPACE/NAME", help="SidecarEvaluation to go on from and to publish results in")
    add(
        "--history-limit",
        type=_positive,
        default=10,
        metavar="N",
        help="results to keep in the resource (default: %(default)s)",
    )
    add("--port", type=_port, default=0, help="serve /metrics, /healthz and /readyz there (default: do not serve)")
    add(
        "--termination-log",
        type=Path,
        default=TERMINATION_LOG,
        metavar="FILE",
        help="file for the last error, if it exists (default: %(default)s)",
    )
    add("--verbose", action="store_true", help="log what helps to debug the evaluator")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be a positive number of seconds")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("must be a port between 0 and 65535")
    return value
