"""The flags of every command: their names, types, defaults and help.

`main` parses with it. The operator renders what `run` reads, so a flag that changes here changes there
(`tests/contract` holds both to it).
"""

import argparse
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, TypeVar

from sidecar_evaluator.checkpoints.registry import AUTO, FORMATS
from sidecar_evaluator.code_directory import OnChange
from sidecar_evaluator.discovery.filesystems import MOUNT_THE_BUCKET, is_url
from sidecar_evaluator.discovery.selection import Selection
from sidecar_evaluator.discovery.training_end import SENTINEL
from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.options import DEFAULT_CHECKPOINTS_PER_PASS, Compilation, DataInMemory, Distribution, Precision
from sidecar_evaluator.results.ranking import Goal

_MOMENT = "a time with its offset, such as 2026-01-02T03:04:05Z"
TERMINATION_LOG = Path("/dev/termination-log")
Number = TypeVar("Number", int, float)

_EPILOG = """\
example:
  sidecar-evaluator run --checkpoint-dir=/tmp/run/ckpt --entrypoint=evaluate:build
  where evaluate.py has: def build(): return sidecar_evaluator.Evaluation(model, data)

exit codes:
  0    all is evaluated: training has finished, --max-evaluations or --no-checkpoint-timeout was reached
  1    an evaluation exceeded --evaluation-timeout, results could not be published, or an unforeseen error
  75   the mount of the checkpoints has died; start again (in Kubernetes a new pod gets a new mount)
  78   flags, entry point, model, or the way training saves checkpoints must be corrected
  143  stopped by SIGTERM, or by Ctrl-C
"""

_CHECK_EPILOG = """\
example:
  sidecar-evaluator check --checkpoint-dir=/tmp/run/ckpt --entrypoint=evaluate:build --checkpoint=ckpt-700

exit codes:
  0    the scores are on standard output, a line each
  1    the checkpoint cannot be evaluated; standard error says why
  78   flags, entry point or model must be corrected
"""

_LS_EPILOG = """\
example:
  sidecar-evaluator ls /tmp/run/ckpt

exit codes:
  0    the directory has been listed
  78   there is no such directory, or it may not be read
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are configuration errors like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise ConfigurationError(f"{message}; see {self.prog} --help.")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line.

    Raises ConfigurationError: it is wrong; the message names the help of the command that was called.
    """
    arguments, unknown = parser().parse_known_args(argv)
    if unknown:
        help_flag = f"sidecar-evaluator {arguments.command} --help"
        raise ConfigurationError(f"unrecognized arguments: {' '.join(unknown)}; see {help_flag}.")
    return arguments


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; `command` in what it returns is the command's name."""
    parser = _Parser(
        prog="sidecar-evaluator",
        description="Evaluates the checkpoints of a training job as they finish.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_run(commands)
    _add_check(commands)
    _add_ls(commands)
    return parser


def _add_run(commands: "argparse._SubParsersAction[_Parser]") -> None:
    command = commands.add_parser(
        "run",
        help="evaluate checkpoints until training has finished",
        description="Evaluates every checkpoint that --selection selects, as soon as it is complete.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = command.add_argument_group("what to evaluate")
    _add_model(what)
    _add_selection(what)
    _add_how(command.add_argument_group("how to evaluate"))
    _add_when(command.add_argument_group("when to stop"))
    _add_where(command.add_argument_group("where results go"))


def _add_check(commands: "argparse._SubParsersAction[_Parser]") -> None:
    command = commands.add_parser(
        "check",
        help="evaluate one checkpoint now and print its scores",
        description="Evaluates one checkpoint, the newest complete one by default, and prints its scores.",
        epilog=_CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = command.add_argument_group("what to evaluate")
    _add_model(what)
    what.add_argument("--checkpoint", metavar="NAME", help="name of the checkpoint, as `ls` shows it (default: newest)")
    what.add_argument("--primary-metric", metavar="NAME", help="metric that the model must have, as for `run`")
    _add_how(command.add_argument_group("how to evaluate"))
    command.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    command.set_defaults(checkpoints_per_pass=1)
    _add_verbose(command)


def _add_ls(commands: "argparse._SubParsersAction[_Parser]") -> None:
    command = commands.add_parser(
        "ls",
        help="list the checkpoints of a directory: format, size, complete or not, and why not",
        description="Lists what is in a checkpoint directory, as the evaluator sees it; needs no TensorFlow.",
        epilog=_LS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("checkpoint_dir", type=_path, metavar="DIR", help="directory that training saves to")
    _add_format(command)
    _add_patterns(command)
    command.add_argument("--json", action="store_true", help="print a JSON object a line instead of a table")
    _add_verbose(command)


def _add_model(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--checkpoint-dir", type=_path, required=True, metavar="DIR", help="directory that training saves to")
    add("--entrypoint", required=True, metavar="MODULE:CALLABLE", help="returns Evaluation(model, data, ...)")
    add("--code-dir", type=_path, metavar="DIR", help="directory of modules to import, before those that are installed")
    add(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="keyword argument of the entry point, converted if annotated int, float or bool; repeatable",
    )
    _add_format(group)
    _add_patterns(group)
    add("--steps", type=_positive, metavar="N", help="batches of one evaluation (default: as the entry point says)")


def _add_format(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--format", choices=[AUTO, *FORMATS], default=AUTO, help="format of the checkpoints (default: %(default)s)"
    )


def _add_patterns(group: argparse._ActionsContainer) -> None:
    for flag, meaning in (("--include", "evaluate only"), ("--exclude", "leave out")):
        group.add_argument(
            flag,
            action="append",
            default=[],
            type=_name,
            metavar="PATTERN",
            help=f"{meaning} checkpoints whose name, or file's name, matches, such as 'best*'; repeatable",
        )


def _add_selection(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--selection",
        choices=_values(Selection),
        default=Selection.LATEST.value,
        help="Latest: the newest wins, those passed over are counted; Every: all, in order (default: %(default)s)",
    )
    add(
        "--checkpoints-per-pass",
        type=_positive,
        default=DEFAULT_CHECKPOINTS_PER_PASS,
        metavar="N",
        help="under Every, score up to so many waiting checkpoints in one pass over the data (default: %(default)s)",
    )
    add("--primary-metric", metavar="NAME", help="metric that decides which checkpoint is best")
    add("--goal", choices=_values(Goal), default=Goal.MAXIMIZE.value, help="what is better (default: %(default)s)")


def _add_how(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--data-in-memory",
        choices=_values(DataInMemory),
        default=DataInMemory.NONE.value,
        help="keep the first pass's batches for all others, if the data is the same each time (default: %(default)s)",
    )
    add(
        "--compilation",
        choices=_values(Compilation),
        default=Compilation.DEFAULT.value,
        help="XLA compiles the model's step; scores may differ in the last digits (default: %(default)s)",
    )
    add(
        "--precision",
        choices=_values(Precision),
        default=Precision.MODEL.value,
        help="compute in 16 bits where the model does not say otherwise; scores differ (default: %(default)s)",
    )
    add(
        "--distribution",
        choices=_values(Distribution),
        default=Distribution.NONE.value,
        help="Mirrored: share the batches between all GPUs (default: %(default)s)",
    )


def _add_when(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--max-evaluations",
        type=_positive,
        metavar="N",
        help="stop at or past the checkpoint with this number in its name: the last one after epoch, step or iter, or "
        "else the last one",
    )
    add(
        "--no-checkpoint-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="stop when no checkpoint has come for so long (default: no limit)",
    )
    add(
        "--evaluation-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="give up a checkpoint, and exit with 1, when its evaluation takes longer (default: no limit)",
    )
    add(
        "--listing-age",
        type=_not_negative,
        metavar="SECONDS",
        help="after the end of training, look so long for a last checkpoint: how old a listing of the mount may be "
        "(default: 0 on a local file system, 60 on others)",
    )
    add(
        "--on-code-change",
        choices=_values(OnChange),
        default=OnChange.WARN.value,
        help="results of other code in --code-dir: Warn keeps them beside the new ones, Restart lays them aside and "
        "evaluates again what is there (default: %(default)s)",
    )
    add("--follow-training", action="store_true", help="stop when the resource says that training has ended")
    add(
        "--training-finished-file",
        type=_name,
        default=SENTINEL,
        metavar="NAME",
        help="stop when a file of this name is in the checkpoint directory (default: %(default)s)",
    )


def _add_where(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--output-dir", type=_path, metavar="DIR", help="write results.jsonl, TensorBoard logs and best/ there")
    add(
        "--keep-best",
        type=_positive,
        metavar="N",
        help="copy the N newest best checkpoints to DIR/best (default: none; needs --primary-metric)",
    )
    add("--resource", metavar="NAMESPACE/NAME", help="SidecarEvaluation to go on from and to publish results in")
    add(
        "--retry-failed-before",
        type=_moment,
        metavar="TIME",
        help="try checkpoints again that failed before this time, as RFC 3339 (default: none)",
    )
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
        type=_path,
        default=TERMINATION_LOG,
        metavar="FILE",
        help="file for the last error, if it exists (default: %(default)s)",
    )
    _add_verbose(group)


def _add_verbose(group: argparse._ActionsContainer) -> None:
    group.add_argument("--verbose", action="store_true", help="log what helps to debug the evaluator")


def _values(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


def _positive(text: str) -> int:
    return _number(text, int, lambda value: value > 0, "a whole number above 0")


def _seconds(text: str) -> float:
    return _number(text, float, lambda value: 0 < value < float("inf"), "a number of seconds above 0")


def _not_negative(text: str) -> float:
    return _number(text, float, lambda value: 0 <= value < float("inf"), "a number of seconds, 0 or more")


def _port(text: str) -> int:
    return _number(text, int, lambda value: 0 <= value <= 65535, "a port between 0 and 65535")


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _refuse(text, _MOMENT)
    return moment.timestamp() if moment.tzinfo else _refuse(text, _MOMENT)


def _path(text: str) -> Path:
    if is_url(text):
        raise argparse.ArgumentTypeError(f"{text!r} is a URL; {MOUNT_THE_BUCKET}")
    return Path(text) if text else _refuse(text, "a path")


def _name(text: str) -> str:
    return text or _refuse(text, "a name")


def _number(text: str, kind: Callable[[str], Number], is_right: Callable[[Number], bool], wanted: str) -> Number:
    try:
        value = kind(text)
    except ValueError:
        _refuse(text, wanted)
    return value if is_right(value) else _refuse(text, wanted)


def _refuse(text: str, wanted: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"{text!r} must be {wanted}")
