"""One look at the checkpoint directory: a single listing, shared by every format that may be there.

The iterator looks once a poll and retires what is settled. A look costs one listing, whatever the
number of checkpoints: only entries that are new, or that belong to a checkpoint not complete yet,
are looked at one by one, and a few of the others in turn. The directory is listed before any file's
state is read: on object-store mounts a listing is fresh where a cached file is not. No file is opened.
"""

import errno
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidecar_evaluator.checkpoints.interface import Checkpoint, CheckpointFormat, FileState, state_of
from sidecar_evaluator.checkpoints.registry import AUTO, formats_named
from sidecar_evaluator.discovery.claims import EVERY_NAME, Claims, NamePatterns
from sidecar_evaluator.errors import ConfigurationError, require_storage

_log = logging.getLogger(__name__)

REVISITS = 16
"""How many checkpoints a look sees to again, where that costs no requests."""

_BRIDGED_SECONDS = 60.0
_SETTLING_SECONDS = 3.0  # some mounts report another time at every look: only a time that stays is believed
_VANISHED = {errno.ENOENT, errno.ESTALE, errno.ENOTDIR}
_OF_THE_ENTRY = {errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}  # a link loop, a closed directory


@dataclass(frozen=True)
class Listing:
    """What one look saw; `exists` is False while the directory has not been made yet.

    `checkpoints` are those that are not retired, in order; `names` are all entries. It is not `fresh`
    where the directory could not be listed: it then shows what an earlier look saw.
    """

    checkpoints: tuple[Checkpoint, ...] = ()
    names: Collection[str] = ()
    exists: bool = True
    fresh: bool = True


@dataclass(eq=False)
class _Group:
    """The entries of one checkpoint in one format, and what the last look made of them; `place` is the format's.

    `newest` is the file of it that was written last, `doubt` how and since when that looks otherwise. While it
    `is_revisited`, it waits for its turn to be looked at again.
    """

    format: CheckpointFormat
    name: str
    place: int
    entries: set[str] = field(default_factory=set)
    checkpoint: Checkpoint | None = None
    retired: bool = False
    is_unreadable: bool = False
    newest: FileState | None = None
    doubt: tuple[FileState, float] | None = None
    is_revisited: bool = False

    @property
    def is_no_checkpoint(self) -> bool:
        """Whether its format recognised none of its files: a directory that has only the name of a checkpoint."""
        return not self.retired and not (self.checkpoint and self.checkpoint.files)

    @property
    def may_change(self) -> bool:
        """Whether a look must see to its files: it is incomplete, or named so that it is written again."""
        checkpoint = self.checkpoint
        return checkpoint is None or bool(checkpoint.missing) or checkpoint.number is None

    @property
    def precedence(self) -> tuple[bool, bool, int]:
        """Sort key of those that have one name in several formats: a whole one that could be read comes first."""
        return (bool(self.checkpoint and self.checkpoint.missing), self.is_unreadable, self.place)


class Directory:
    """A checkpoint directory in one of the known formats, or in any of them (`Auto`).

    Where the path goes through a link, the directory stays the one to which that has led when the first checkpoint
    was seen: `path` is then that one's own, and `named_path` what was given.
    `beat` is called before each entry that is looked at: a first look at thousands may take minutes.
    Each look sees to one file each of `revisits` checkpoints that it has done with, in turn: training that
    has gone back writes their names again. Of checkpoints that the `patterns` leave out nothing is looked at.
    """

    def __init__(
        self,
        path: Path,
        format_name: str = AUTO,
        clock: Callable[[], float] = time.monotonic,
        formats: Sequence[CheckpointFormat] | None = None,
        beat: Callable[[], None] = lambda: None,
        *,
        revisits: int = REVISITS,
        patterns: NamePatterns = EVERY_NAME,
    ) -> None:
        self.path = path
        self.named_path = path
        self._revisits = revisits
        self._revisited: deque[_Group] = deque()
        self._beat = beat
        self._clock = clock
        self._claims = Claims(formats if formats is not None else formats_named(format_name), patterns)
        self._owners: dict[str, _Group | None] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._open: set[_Group] = set()
        self._ordered: tuple[Checkpoint, ...] | None = ()
        self._names: list[str] = []
        self._present: frozenset[str] = frozenset()
        self._last = Listing(exists=False)
        self._failing_since: float | None = None
        self._closed: set[str] = set()
        self._left_out: set[str] = set()
        self._lock = threading.RLock()

    def look(self) -> Listing:
        """List the directory.

        Raises ConfigurationError: it is no directory, or may not be read.
        StorageGoneError: the mount has died.
        """
        with self._lock:
            try:
                self._last = self._look()
            except FileNotFoundError:
                self._update_entries((), [])
                _list_above(self.path)
                return Listing(exists=False)
            except (NotADirectoryError, PermissionError) as error:
                raise ConfigurationError(self._what_is_wrong(error)) from error
            except OSError as error:
                return self._last_listing(error)
            self._failing_since = None
            if self._last.checkpoints and not self.is_bound:
                self.bind(Path(os.path.realpath(self.path)))
            return self._last

    @property
    def is_bound(self) -> bool:
        """Whether the directory stays where it is, although the link that has led to it may move."""
        return self.path != self.named_path

    def bind(self, path: Path) -> None:
        """Stay with this directory, to which a link leads or has led."""
        if path != Path(os.path.abspath(self.named_path)):  # noqa: PTH100 - `absolute` keeps what `..` leaves
            self.path = path

    def moved_to(self) -> Path | None:
        """Return where the link leads now, None as long as that is this directory."""
        target = Path(os.path.realpath(self.named_path))
        return target if self.is_bound and target != self.path else None

    def retire(self, checkpoint: Checkpoint) -> None:
        """Leave a checkpoint that is settled out of every later listing, as long as any of its files is there."""
        with self._lock:
            group = self._group_of(checkpoint)
            if group and not group.retired and checkpoint.number is not None:
                group.retired, group.checkpoint = True, None
                self._done_with(group, checkpoint)
                self._ordered = self._ordered and tuple(other for other in self._ordered if other is not checkpoint)

    def recheck(self, checkpoint: Checkpoint) -> None:
        """Look at a checkpoint's files again at the next look: it could not be read."""
        with self._lock:
            group = self._group_of(checkpoint)
            if group:
                group.is_unreadable = True
                self._reopen(group)

    def has_doubts(self) -> bool:
        """See to every checkpoint that a look has done with; tell whether any of them seems to be written again."""
        with self._lock:
            return self._revisit(len(self._revisited)) or any(group.doubt for group in self._revisited)

    def unclaimed(self) -> list[str]:
        """Return the entries that belong to no checkpoint."""
        with self._lock:
            owners = ((name, owner) for name, owner in self._owners.items() if name not in self._left_out)
            return sorted(name for name, owner in owners if owner is None or owner.is_no_checkpoint)

    def left_out(self) -> list[str]:
        """Return the entries that belong to a checkpoint which the patterns leave out."""
        with self._lock:
            return sorted(self._left_out)

    def closed(self) -> list[str]:
        """Return the entries that may not be looked at."""
        with self._lock:
            return sorted(self._closed)

    def nested(self) -> list[str]:
        """Return the subdirectories that hold checkpoints themselves."""
        return [name for name in self.unclaimed() if self._holds_checkpoints(self.path / name)]

    def _look(self) -> Listing:
        with os.scandir(self.path) as entries:
            listed = list(entries)
        names = [entry.name for entry in listed]
        if names != self._names:  # two lists compare in a small part of the time that a listing takes
            self._update_entries(listed, names)
        self._revisit(self._revisits)
        for group in list(self._open):
            self._assemble(group)
        return Listing(self._in_order(), self._present)

    def _update_entries(self, entries: Sequence["os.DirEntry[str]"], names: list[str]) -> None:
        """Assign new entries to checkpoints, and drop those that are not listed any more."""
        self._names, self._present = [], frozenset(names)
        new_entries = [entry for entry, name in zip(entries, names, strict=True) if name not in self._owners]
        if len(self._owners) + len(new_entries) > len(names):
            self._drop({name for name in self._owners if name not in self._present})
        for entry in new_entries:
            self._assign(entry)
        if len(self._owners) == len(self._present):  # else some vanished meanwhile, or will open later
            self._names = names

    def _assemble(self, group: _Group) -> None:
        self._beat()
        before, now = group.checkpoint, group.format.assemble(self.path, group.name, self._states(group))
        group.checkpoint = now
        if now != before:
            self._ordered = None
        if not group.may_change:
            self._done_with(group, now)

    def _done_with(self, group: _Group, checkpoint: Checkpoint) -> None:
        """See to the group in its turn only."""
        self._open.discard(group)
        group.newest = max(checkpoint.files, key=lambda file: file.modified_ns, default=None)
        group.doubt = None
        if not group.is_revisited:
            group.is_revisited = True
            self._revisited.append(group)

    def _revisit(self, count: int) -> bool:
        """See to those whose turn has come; return whether any was written again."""
        is_any_written_again = False
        for _ in range(min(count, len(self._revisited))):
            group = self._revisited.popleft()
            is_current = self._groups.get((group.format.name, group.name)) is group and group not in self._open
            if is_current and not self._is_written_again(group):
                self._revisited.append(group)
            else:
                group.is_revisited = False
                if is_current:
                    is_any_written_again = True
                    group.retired = False
                    self._reopen(group)
        return is_any_written_again

    def _is_written_again(self, group: _Group) -> bool:
        """Tell whether the newest file is another than before, and has been for a while."""
        self._beat()
        if group.newest is None:
            return False
        try:
            state = state_of(self.path, group.newest.name)
        except FileNotFoundError:
            state = replace(group.newest, size=-1)
        except OSError:  # the listing tells
            return False
        if state == group.newest:
            group.doubt = None
        elif group.doubt is None or group.doubt[0] != state:
            group.doubt = state, self._clock()
        return group.doubt is not None and self._clock() - group.doubt[1] >= _SETTLING_SECONDS

    def _reopen(self, group: _Group) -> None:
        """See to the group's files at the next look."""
        if not group.retired:
            group.checkpoint, self._ordered = None, None
            self._open.add(group)

    def _in_order(self) -> tuple[Checkpoint, ...]:
        """Return the checkpoints; of those that have one name in several formats the one that comes first."""
        if self._ordered is None:
            groups = (group for group in self._groups.values() if group.checkpoint and group.checkpoint.files)
            last_wins = sorted(groups, key=lambda group: group.precedence, reverse=True)
            by_name = {group.name: group.checkpoint for group in last_wins if group.checkpoint}
            self._ordered = tuple(sorted(by_name.values(), key=lambda checkpoint: checkpoint.id.order))
        return self._ordered

    def _group_of(self, checkpoint: Checkpoint) -> _Group | None:
        return self._groups.get((checkpoint.format.name, checkpoint.name))

    def _drop(self, names: set[str]) -> None:
        self._left_out -= names
        for name in names:
            group = self._owners.pop(name)
            if group:
                group.entries.discard(name)
                self._reopen(group)
                if not group.entries:
                    self._open.discard(group)
                    self._groups.pop((group.format.name, group.name), None)

    def _assign(self, entry: "os.DirEntry[str]") -> None:
        """Find the checkpoint that a new entry belongs to."""
        self._beat()
        try:
            is_directory = entry.is_dir()
        except OSError as error:
            if error.errno in _VANISHED:
                return
            is_directory = False
            self._leave_out(entry.name, error)
        self._owners[entry.name] = None
        claim = self._claims.claim(entry.name, is_directory=is_directory)
        if claim and not claim.is_admitted:
            self._left_out.add(entry.name)
        elif claim:
            group = _Group(claim.format, claim.name, claim.place)
            group = self._groups.setdefault((claim.format.name, claim.name), group)
            group.entries.add(entry.name)
            self._reopen(group)
            self._owners[entry.name] = group

    def _states(self, group: _Group) -> dict[str, FileState]:
        states = {}
        for name in group.entries:
            for state in self._states_of(name, group.format.depth):
                states[state.name] = state
        return states

    def _states_of(self, name: str, depth: int) -> Iterator[FileState]:
        """Yield the state of an entry, and of those below it down to the format's depth."""
        try:
            if depth == 1 or not (self.path / name).is_dir():
                yield state_of(self.path, name)
                return
            children = [child.name for child in (self.path / name).iterdir()]
        except OSError as error:
            if error.errno not in _VANISHED:  # else it was deleted or replaced since the listing
                self._leave_out(name, error)
            return
        for child in children:
            yield from self._states_of(f"{name}/{child}", depth - 1)

    def _leave_out(self, name: str, error: OSError) -> None:
        """Go on without an entry that cannot be looked at, unless the error is about the whole mount."""
        if error.errno not in _OF_THE_ENTRY:
            raise error
        if name not in self._closed:
            self._closed.add(name)
            _log.warning("%s is left out, because it cannot be looked at: %s", self.path / name, error.strerror)

    def _last_listing(self, error: OSError) -> Listing:
        """Return what the last look saw while a network file system fails for a moment: nothing seems deleted."""
        require_storage(error, f"The mount of {self.path}")
        now = self._clock()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if now - self._failing_since > _BRIDGED_SECONDS:
            raise error
        _log.warning("%s cannot be listed, trying again: %s", self.path, error)
        return replace(self._last, fresh=False)

    def _holds_checkpoints(self, path: Path) -> bool:
        try:
            with os.scandir(path) as entries:
                listed = [(entry.name, entry.is_dir()) for entry in entries]
        except OSError:
            return False
        return any(self._claims.claim(name, is_directory=is_directory) for name, is_directory in listed)

    def _what_is_wrong(self, error: OSError) -> str:
        if isinstance(error, NotADirectoryError):
            return f"{self.path} is not a directory; give the directory that training saves checkpoints to."
        return f"{self.path} cannot be read: permission denied for user {os.getuid()}; let it read the volume."


def _list_above(path: Path) -> None:
    """List the nearest directory that is there.

    Object mounts remember for seconds that a name was looked for in vain, unless they list its directory.
    """
    for above in path.absolute().parents:
        try:
            with os.scandir(above) as entries:
                deque(entries, maxlen=0)
        except FileNotFoundError:
            continue
        except OSError:  # the next look tells
            return
        return


def look_twice(directory: Directory, pause: float = 0.2) -> Listing:
    """Look with a pause, in seconds: a file whose size changes in between is still being written."""
    directory.look()
    threading.Event().wait(pause)
    return directory.look()
