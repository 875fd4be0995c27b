"""The checkpoints of a directory that training is writing to, one group after the other.

The loop's `for` goes over a `CheckpointIterator`: it looks, waits, and hands out what `selection`
chooses until `training_end` says that nothing more can come. Each group holds one checkpoint, or
several that are evaluated together. The loop answers each with `settle`, or with `retry` as long as
that returns True. `upcoming` and `abandon` may be called from other threads. No weights are read here.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.backlog import Backlog, Remaining
from sidecar_evaluator.discovery.backoff import Backoff
from sidecar_evaluator.discovery.change_waiter import ChangeWaiter
from sidecar_evaluator.discovery.completeness import Completeness
from sidecar_evaluator.discovery.directory import Listing
from sidecar_evaluator.discovery.evaluation_limit import EvaluationLimit
from sidecar_evaluator.discovery.obstacles import Obstacle, Obstacles
from sidecar_evaluator.discovery.poll_interval import LONGEST
from sidecar_evaluator.discovery.reminder import Reminder
from sidecar_evaluator.discovery.selection import Selection, Turn, select
from sidecar_evaluator.discovery.training_end import TrainingEnd
from sidecar_evaluator.results.ledger import EndReason
from sidecar_evaluator.results.settled import SettledCheckpoints
from sidecar_evaluator.runtime.clock import Clock

_log = logging.getLogger(__name__)

_SHORTEST_WAIT, _LONGEST_WAIT_WHEN_UNSETTLED = 0.02, 1.0
_LONGEST_DOUBT = 15.0

Group = tuple[Checkpoint, ...]


@dataclass(frozen=True)
class Policy:
    """What to hand out and when to stop; times are seconds.

    `listing_age` is how old a listing of the directory's mount may be: so long after the end of training
    a last checkpoint may still show up. None: `assembly` decides it by the file system.
    """

    selection: Selection = Selection.LATEST
    max_evaluations: int | None = None
    no_checkpoint_timeout: float | None = None
    listing_age: float | None = None


class CheckpointDirectory(Protocol):
    """What the iterator asks of a directory; see `Directory`."""

    path: Path
    named_path: Path

    def look(self) -> Listing:
        """List the directory."""

    def retire(self, checkpoint: Checkpoint) -> None:
        """Leave a settled checkpoint out from now on."""

    def recheck(self, checkpoint: Checkpoint) -> None:
        """Look at a checkpoint's files again."""

    def nested(self) -> list[str]:
        """Return the subdirectories that hold checkpoints themselves."""

    def has_doubts(self) -> bool:
        """Tell whether any checkpoint that was retired seems to be written again."""

    def closed(self) -> list[str]:
        """Return the entries that may not be looked at."""

    def left_out(self) -> list[str]:
        """Return the entries of checkpoints that name patterns leave out."""

    def moved_to(self) -> Path | None:
        """Return where the link leads now that has led to the directory."""


@dataclass
class CheckpointIterator:
    """An iterator over the checkpoints that the policy selects.

    `settled` holds what is settled already, `training_finished` tells whether training has ended,
    `group_limit` how many of so many waiting ones to evaluate together; `on_obstacle` is told what keeps it from
    finding any, None once nothing does; `beat` is called before each look into a file. `ended` is the reason
    once the iterator ended by itself, `ended_by` the number that reached the maximum, and `left_over` what it then
    found instead of checkpoints; they stay empty where `stop` ended it.
    """

    directory: CheckpointDirectory
    policy: Policy
    clock: Clock
    stop: threading.Event
    changes: ChangeWaiter
    training_finished: Callable[[Listing], bool] = lambda _listing: False
    settled: SettledCheckpoints = field(default_factory=SettledCheckpoints)
    on_look: Callable[[Listing], None] = lambda _listing: None
    on_obstacle: Callable[[Obstacle | None], None] = lambda _obstacle: None
    beat: Callable[[], None] = lambda: None
    group_limit: Callable[[int], int] = lambda _waiting: 1
    ended: EndReason | None = None
    ended_by: str = ""
    left_over: Obstacle | None = None
    _backlog: Backlog = field(default_factory=Backlog)
    _unused_listing: Listing | None = None
    _waits: int = 0
    _doubted_since: float | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        """Put the parts together; files are tried for as long as the mount may show an old view of them."""
        listing_age = self.policy.listing_age or 0.0
        self.settled.newer_passes_older = self.policy.selection.newer_passes_older
        self._backoff = Backoff(listing_age)
        self._limit = EvaluationLimit(self.policy.max_evaluations)
        self._completeness = Completeness(self.directory.recheck, self.beat)
        self._reminder = Reminder(self.directory)
        self._obstacles = Obstacles(self.directory, self.on_obstacle)
        self._end = TrainingEnd(self.training_finished, self.policy.no_checkpoint_timeout, listing_age)

    def __iter__(self) -> Iterator[Group]:
        """Yield groups until all is settled after the end of training, or `stop` is set."""
        self._note_checkpoint()
        while not self.stop.is_set() and not self._ends_at_maximum():
            with self._lock:
                listing = self._next_listing()
                unsettled = self._unsettled(listing)
                end = self._end.reason(listing, self.clock.monotonic())
                is_last_chance = end is not None and self._end.is_drained(self.clock.monotonic())
                group = self._choose(listing, unsettled, is_last_chance=is_last_chance)
            if group:
                self._waits = 0
                self._obstacles.passed()
                yield group
            elif is_last_chance and not unsettled and not self._has_doubts():
                self.ended = end
                self.left_over = self._obstacles.end(listing, has_settled=self.settled.has_any)
                return
            else:
                self._remind(listing, unsettled)
                self._wait(is_busy=bool(unsettled or end))

    def retry(self, checkpoint: Checkpoint, message: str) -> bool:
        """Put a checkpoint off after a failed read; return False once its attempts are used up."""
        delay = self._backoff.fail(checkpoint, self.clock.monotonic())
        if delay is None:
            return False
        _log.warning("Checkpoint %s cannot be read; retrying in %.1f s. %s", checkpoint.name, delay, message)
        self.directory.recheck(checkpoint)
        return True

    def still_lists(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a fresh look shows a checkpoint whose files could not be found."""
        with self._lock:
            return any(listed.id == checkpoint.id for listed in self.directory.look().checkpoints)

    def settle(self, checkpoint: Checkpoint, *, evaluated: bool = True) -> Remaining:
        """Never hand this checkpoint out again, nor any that it passes over once it was evaluated."""
        with self._lock:
            is_retry = self.settled.add(checkpoint, evaluated=evaluated)
            self._backoff.forget(checkpoint)
            self._backlog.discard(checkpoint)
            skipped = self._backlog.discard_settled(self.settled) if evaluated else 0
            self._note_checkpoint()
            self._unused_listing = self._unused_listing or self._look()
            unsettled = self._unsettled(self._unused_listing)
            self._complete(unsettled)
            return replace(self._backlog.remaining(skipped, unsettled), is_retry=is_retry)

    def abandon(self, checkpoint: Checkpoint) -> Remaining:
        """Settle this one as far as can be done without reading anything and without waiting for a lock.

        For another thread, while this one hangs in the storage or in an evaluation.
        """
        is_retry = self.settled.add(checkpoint, evaluated=False)
        self._backlog.discard(checkpoint)
        return replace(self._backlog.remaining_without_look(), is_retry=is_retry)

    def is_written_again(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the checkpoint's name was settled before its files were written."""
        return self.settled.is_written_again(checkpoint)

    def upcoming(self, taken: Collection[Checkpoint], limit: int) -> list[Checkpoint]:
        """Return what a fresh look would hand out after those taken, at most so many."""
        taken_ids = {checkpoint.id for checkpoint in taken}
        with self._lock:
            unsettled = self._unsettled(self.directory.look())
            complete = [checkpoint for checkpoint in unsettled if checkpoint.is_complete]
            waiting = [checkpoint for checkpoint in complete if not self.settled.covers_after(checkpoint, taken_ids)]
            return self._select(waiting, limit)

    def _next_listing(self) -> Listing:
        listing, self._unused_listing = self._unused_listing or self._look(), None
        self.on_look(listing)
        self._limit.explain(listing.checkpoints)
        return listing

    def _look(self) -> Listing:
        began = self.clock.monotonic()
        listing = self.directory.look()
        complete = (checkpoint for checkpoint in listing.checkpoints if checkpoint.is_complete)
        newest = max((checkpoint.modified_at for checkpoint in complete), default=None)
        self.changes.looked(self.clock.monotonic() - began, newest)
        return listing

    def _unsettled(self, listing: Listing) -> list[Checkpoint]:
        """Return the checkpoints of a listing that are still to be settled; retire the others."""
        unsettled = []
        for checkpoint in listing.checkpoints:
            if self.settled.covers(checkpoint):
                self.settled.remember(checkpoint)
                self.directory.retire(checkpoint)
            else:
                unsettled.append(checkpoint)
        return unsettled

    def _complete(self, unsettled: list[Checkpoint]) -> list[Checkpoint]:
        """Return the ones complete by their listing, in order; keep them in the backlog."""
        complete = [checkpoint for checkpoint in unsettled if checkpoint.is_complete]
        if self._backlog.update(unsettled, complete):
            self._note_checkpoint()
        return complete

    def _choose(self, listing: Listing, unsettled: list[Checkpoint], *, is_last_chance: bool) -> Group:
        complete = self._complete(unsettled)
        selected = self._select(complete, max(1, self.group_limit(len(complete))))
        if selected:
            return tuple(selected)
        deleted = self._backlog.disappeared(unsettled) if listing.exists else None
        if deleted:
            return (replace(deleted, is_deleted=True),)
        return self._half_written(unsettled) if is_last_chance else ()

    def _select(self, complete: list[Checkpoint], limit: int) -> list[Checkpoint]:
        now = self.clock.monotonic()
        turn = Turn(
            is_whole=self._completeness.is_whole,
            is_due=lambda checkpoint: self._backoff.is_due(checkpoint, now),
            is_last=lambda checkpoint: self._limit.is_reached_by(checkpoint.number),
            limit=limit,
        )
        return select(self.policy.selection, complete, turn)

    def _half_written(self, unsettled: list[Checkpoint]) -> Group:
        """After the end of training, return a half-written checkpoint once it was tried a last few times."""
        now = self.clock.monotonic()
        for checkpoint in unsettled:
            if self._backoff.is_due(checkpoint, now) and (missing := self._completeness.missing(checkpoint)):
                half_written = replace(checkpoint, missing=missing)
                if not self.retry(checkpoint, f"It is not whole: {missing}."):
                    return (half_written,)
        return ()

    def _note_checkpoint(self) -> None:
        self._end.expect_checkpoints(self.clock.monotonic())

    def _remind(self, listing: Listing, unsettled: list[Checkpoint]) -> None:
        now = self.clock.monotonic()
        silence = self._end.seconds_without_checkpoint(now)
        self._reminder.remind(listing, now, silence, has_settled=self.settled.has_any)
        self._obstacles.look(listing, unsettled, now, has_settled=self.settled.has_any)

    def _wait(self, *, is_busy: bool) -> None:
        """Wait for a change; not long while something is to be looked at again, less and less often."""
        now = self.clock.monotonic()
        longest = LONGEST
        if is_busy:
            longest = min(_SHORTEST_WAIT * 2 ** min(self._waits, 10), _LONGEST_WAIT_WHEN_UNSETTLED)
        limits = [longest, self._backoff.next_due(now), self._end.seconds_to_timeout(now)]
        has_changed = self.changes.wait(min(limit for limit in limits if limit is not None and limit > 0))
        self._waits = 0 if has_changed else self._waits + 1

    def _has_doubts(self) -> bool:
        """Tell whether a settled checkpoint seems to be written again; on some mounts they all do, for ever."""
        now = self.clock.monotonic()
        self._doubted_since = now if self._doubted_since is None else self._doubted_since
        return now - self._doubted_since < _LONGEST_DOUBT and self.directory.has_doubts()

    def _ends_at_maximum(self) -> bool:
        """Tell whether the last checkpoint that is asked for is settled.

        Not where training has gone back behind it, or an earlier one that failed is to be tried again.
        """
        if not self._limit.is_reached_by(self.settled.highest):
            return False
        with self._lock:
            self._unused_listing = self._unused_listing or self._look()
            unsettled = self._unsettled(self._unused_listing)
        if any(self.settled.is_written_again(checkpoint) or self._is_retried(checkpoint) for checkpoint in unsettled):
            return False
        self.ended = EndReason.MAX_EVALUATIONS
        self.ended_by = f"a checkpoint has the number {self.settled.highest}, at least {self.policy.max_evaluations}"
        return True

    def _is_retried(self, checkpoint: Checkpoint) -> bool:
        return checkpoint.is_complete and self.settled.is_retried(checkpoint)
