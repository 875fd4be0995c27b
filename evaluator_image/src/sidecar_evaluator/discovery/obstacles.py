"""What keeps the evaluator from finding checkpoints: a directory or files that are not there or may not be read.

The iterator calls `Obstacles` before each wait, and reports what it says once that has lasted a few seconds.
It lists directories and asks for rights, at most once a second, opens no file and changes nothing.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.completeness import denied_file
from sidecar_evaluator.discovery.directory import Listing
from sidecar_evaluator.discovery.other_formats import is_saved_model, other_format
from sidecar_evaluator.results.evaluator_report import ProblemReason

LASTING_SECONDS = 4.5
"""What passes sooner is no obstacle: training may be about to make the directory, or to write its first checkpoint."""
_WITHOUT_CHECKPOINTS = frozenset({ProblemReason.DIRECTORY_MISSING, ProblemReason.NO_CHECKPOINTS})
_PAUSE_SECONDS = 1.0
_NAMED = 3
_NAME_LENGTH = 80
_EXAMINED = 16  # files and entries, however many there are


@dataclass(frozen=True)
class Obstacle:
    """What is in the way, and its words for a person."""

    reason: ProblemReason
    message: str


Report = Callable[[Obstacle | None], None]


class LookedAt(Protocol):
    """What is asked of a directory; see `Directory`."""

    path: Path
    named_path: Path

    def nested(self) -> list[str]:
        """Return the subdirectories that hold checkpoints themselves."""

    def closed(self) -> list[str]:
        """Return the entries that may not be looked at."""

    def left_out(self) -> list[str]:
        """Return the entries of checkpoints that name patterns leave out."""

    def moved_to(self) -> Path | None:
        """Return where the link leads now that has led to the directory."""


@dataclass
class Obstacles:
    """Notices what is in the way in a directory, and tells `report` when that changes."""

    directory: LookedAt
    report: Report = lambda _obstacle: None
    _current: Obstacle | None = None
    _since: float = 0.0
    _asked_at: float | None = None
    _reported: Obstacle | None = None

    def look(self, listing: Listing, unsettled: Sequence[Checkpoint], now: float, *, has_settled: bool) -> None:
        """Take note of a look that showed nothing to evaluate; `now` is monotonic."""
        if self._asked_at is not None and now - self._asked_at < _PAUSE_SECONDS:
            return
        self._asked_at = now
        current = self._obstacle(listing, unsettled, has_settled=has_settled)
        if current is None or self._current is None or current.reason is not self._current.reason:
            self._since = now
        self._current = current
        if current is None or now - self._since >= LASTING_SECONDS:
            self._tell(current)

    def end(self, listing: Listing, *, has_settled: bool) -> Obstacle | None:
        """Return what was in the way until the end, and report it: there is no time left for it to pass."""
        self._current = self._obstacle(listing, (), has_settled=has_settled)
        self._tell(self._current)
        return self._current

    def passed(self) -> None:
        """Take note that a checkpoint was found: what is not about other ones has passed."""
        if self._reported and self._reported.reason in _WITHOUT_CHECKPOINTS:
            self._current = None
            self._tell(None)

    def _tell(self, obstacle: Obstacle | None) -> None:
        if obstacle != self._reported:
            self._reported = obstacle
            self.report(obstacle)

    def _obstacle(self, listing: Listing, unsettled: Sequence[Checkpoint], *, has_settled: bool) -> Obstacle | None:
        path = self.directory.path
        if target := self.directory.moved_to():
            return Obstacle(ProblemReason.DIRECTORY_MOVED, _moved(self.directory.named_path, path, target))
        if not listing.exists:
            return Obstacle(ProblemReason.DIRECTORY_MISSING, missing_directory(path))
        if unreadable := _unreadable(denied_file(checkpoint) for checkpoint in islice(reversed(unsettled), _EXAMINED)):
            return Obstacle(ProblemReason.CHECKPOINTS_UNREADABLE, unreadable)
        if listing.checkpoints or has_settled:
            return None
        if unreadable := _unreadable(path / name for name in self.directory.closed() if name in listing.names):
            return Obstacle(ProblemReason.CHECKPOINTS_UNREADABLE, unreadable)
        return Obstacle(ProblemReason.NO_CHECKPOINTS, self._instead(listing.names))

    def _instead(self, names: Collection[str]) -> str:
        path = self.directory.path
        if not names:
            return f"{path} is empty"
        if left_out := self.directory.left_out():
            return f"{path} holds no checkpoint that include and exclude admit; they leave out {examples(left_out)}"
        if not is_saved_model(names) and (nested := self.directory.nested()):
            return f"{path} holds no checkpoint, but {examples(nested)} below it does; name that directory"
        links = (dangling_link(path / name) for name in islice(sorted(names), _EXAMINED))
        if link := next(filter(None, links), ""):
            return f"{path} holds no checkpoint: {link}"
        other = other_format(path, names)
        return f"{path} holds no checkpoint that is whole, only {examples(names)}" + (f"; {other}" if other else "")


def _moved(named: Path, path: Path, target: Path) -> str:
    return (
        f"{named!s:.100} led to {path!s:.100} when this evaluation began, and now leads to {target!s:.100}; it stays "
        "with the first, so that results of two trainings are not mixed: create another resource for the second"
    )


def missing_directory(path: Path) -> str:
    """Say that a directory does not exist, and what is there instead: where a link leads, or what is above it."""
    for place in (path, *path.parents):
        if link := dangling_link(place):
            return f"{path} does not exist: {link}"
        try:
            names = [entry.name for entry in os.scandir(place)]
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{path} does not exist; {place} cannot be listed: {error.strerror}"
        return f"{path} does not exist; {place} " + (f"holds {examples(names)}" if names else "is empty")
    return f"{path} does not exist"


def dangling_link(path: Path) -> str:
    """Say where a link leads whose target does not exist, "" for anything else."""
    try:
        if not path.is_symlink() or path.exists():
            return ""
        return f"{path.name[:_NAME_LENGTH]} is a link to {path.readlink()!s:.200}, which does not exist"
    except OSError:
        return ""


def examples(names: Iterable[str]) -> str:
    """Return a few of the names, and how many there are beside them."""
    ordered = sorted(names)
    named = ", ".join(name[:_NAME_LENGTH] for name in ordered[:_NAMED])
    return named if len(ordered) <= _NAMED else f"{named} and {len(ordered) - _NAMED} more"


def _unreadable(places: Iterable[Path | None]) -> str:
    """Say which of the places may not be read, and by whom; "" where there is none."""
    denied = next(filter(None, places), None)
    if denied is None:
        return ""
    return (
        f"{denied}{_mode(denied)} may not be read by user {os.getuid()}, group {os.getgid()}: let training save files "
        "that others may read (umask 022), or run the evaluator as a user or with a group that may read them"
    )


def _mode(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f" (mode {stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}, group {status.st_gid})"
