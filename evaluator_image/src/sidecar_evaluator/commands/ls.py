"""`sidecar-evaluator ls`: lists the checkpoints of a directory, and why incomplete ones are incomplete.

For debugging; `commands.main` calls it, and `commands.check` shares its functions. It lists the directory as the
evaluator does, must not change anything, and needs neither a model nor TensorFlow.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.claims import EVERY_NAME, NamePatterns
from sidecar_evaluator.discovery.completeness import missing_parts
from sidecar_evaluator.discovery.directory import Directory, Listing, look_twice
from sidecar_evaluator.discovery.obstacles import missing_directory
from sidecar_evaluator.discovery.other_formats import other_format
from sidecar_evaluator.errors import ConfigurationError, ExitCode
from sidecar_evaluator.runtime.log_format import plain

_MAX_NAMES = 5
_HEADINGS = ("CHECKPOINT", "FORMAT", "NUMBER", "FILES", "SIZE", "WRITTEN", "STATE")


def ls(path: Path, format_name: str, patterns: NamePatterns = EVERY_NAME, *, as_json: bool = False) -> ExitCode:
    """Print the checkpoints of a directory in the order in which they would be evaluated.

    Raises ConfigurationError: the directory does not exist or may not be read.
    """
    directory = Directory(path, format_name, patterns=patterns)
    listing = require_listing(directory)
    if as_json:
        for checkpoint in listing.checkpoints:
            _print(json.dumps(_entry(checkpoint)))
        return ExitCode.DRAINED
    for line in _table([_row(checkpoint) for checkpoint in listing.checkpoints]):
        _print(line)
    for line in _remarks(directory, listing):
        _print(line)
    return ExitCode.DRAINED


def require_listing(directory: Directory) -> Listing:
    """Return the listing of a directory that must exist.

    Raises ConfigurationError: the directory does not exist or may not be read.
    """
    listing = look_twice(directory)
    if not listing.fresh:
        raise ConfigurationError(f"{directory.path} cannot be listed; see the warning above.")
    if not listing.exists:
        raise ConfigurationError(
            f"{missing_directory(directory.path)}: pass the directory that the training job saves checkpoints to."
        )
    return listing


def _entry(checkpoint: Checkpoint) -> dict[str, object]:
    missing = missing_parts(checkpoint)
    return {
        "checkpoint": checkpoint.name,
        "format": checkpoint.format.name,
        "number": checkpoint.number,
        "files": [str(path.relative_to(checkpoint.path.parent)) for path in _files(checkpoint)],
        "bytes": _size(checkpoint),
        "modifiedAt": _time(checkpoint),
        "complete": not missing,
        "lacks": missing or None,
    }


def _row(checkpoint: Checkpoint) -> tuple[str, ...]:
    missing = missing_parts(checkpoint)
    number = "-" if checkpoint.number is None else str(checkpoint.number)
    state = f"incomplete: {missing}" if missing else "complete"
    files, size = str(len(_files(checkpoint))), _human_size(_size(checkpoint))
    return (checkpoint.name, checkpoint.format.name, number, files, size, _time(checkpoint), state)


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if not rows:
        return
    lines = [_HEADINGS, *(tuple(map(plain, row)) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _remarks(directory: Directory, listing: Listing) -> Iterator[str]:
    unclaimed = directory.unclaimed()
    claimed = {file.name.partition("/")[0] for checkpoint in listing.checkpoints for file in checkpoint.files}
    left_out = directory.left_out()
    shadowed = sorted(set(listing.names) - claimed - set(unclaimed) - set(left_out))
    if nested := directory.nested():
        yield f"Checkpoints in subdirectories, which are not evaluated: {_first_names(nested)}"
    if not listing.checkpoints:
        other = other_format(directory.path, listing.names)
        yield f"There is no checkpoint in {directory.path}" + (f": {other}." if other else ".")
    if shadowed:
        yield f"Ignored, because another format has a checkpoint with the same name: {_first_names(shadowed)}"
    if left_out:
        yield f"Left out by --include and --exclude: {_first_names(left_out)}"
    if unclaimed:
        yield f"Not part of a checkpoint: {_first_names(unclaimed)}"


def _first_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"{', '.join(names[:_MAX_NAMES])}{more}"


def _size(checkpoint: Checkpoint) -> int:
    return sum(path.stat().st_size for path in _files(checkpoint))


def _files(checkpoint: Checkpoint) -> list[Path]:
    """Return the files of a checkpoint; if it is a directory, all files below it."""
    if checkpoint.path.is_dir():
        return sorted(path for path in checkpoint.path.rglob("*") if path.is_file())
    return [checkpoint.path.parent / file.name for file in checkpoint.files]


def _human_size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _time(checkpoint: Checkpoint) -> str:
    return datetime.fromtimestamp(checkpoint.modified_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(line: str) -> None:
    print(plain(line))  # noqa: T201 - the command's own output
