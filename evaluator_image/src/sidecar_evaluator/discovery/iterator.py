"""Which checkpoints come next: an iterator over a directory that training is writing to.

The loop's `for` goes over a `Watcher`: completeness, order, retries, the end of training and the
waiting between looks live here; evaluation does not. It yields groups, of one checkpoint or under
Every of several that are evaluated together. The loop answers every candidate with `settle`, or
with `retry` as long as that returns True. `upcoming` may be asked from another thread meanwhile.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.discovery.backoff import Retries
from sidecar_evaluator.discovery.change_waiter import Notices
from sidecar_evaluator.discovery.directory import Listing
from sidecar_evaluator.discovery.poll_interval import LONGEST
from sidecar_evaluator.errors import (
    CheckpointError,
    CheckpointGone,
    CheckpointUnreadable,
    StorageGoneError,
    first_line,
    is_storage_gone,
)
from sidecar_evaluator.results.ledger import EndReason, Selection
from sidecar_evaluator.runtime.clock import Clock

_log = logging.getLogger(__name__)

REMINDER_SECONDS = 30.0
_SHORTEST_WAIT, _LONGEST_WAIT_WHEN_UNSETTLED = 0.02, 1.0
_LOOKS_TO_DRAIN = 3  # a weights file is complete at its second look; one more for a slow mount


@dataclass(frozen=True)
class Policy:
    """What to hand out and when to stop; times are seconds.

    `listing_age` is how old a listing of the directory's mount may be: so long after the end of training
    a last checkpoint may still show up.
    """

    selection: Selection = Selection.LATEST
    max_evaluations: int | None = None
    no_checkpoint_timeout: float | None = None
    listing_age: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A checkpoint to settle now; with an `error` there is nothing left to evaluate."""

    checkpoint: Checkpoint
    error: CheckpointError | None = None


Group = tuple[Candidate, ...]


@dataclass(frozen=True)
class Remaining:
    """What is left after a checkpoint was settled.

    `skipped` were passed over for it, `backlog` complete ones wait, `pending` are the numbers of all
    that are not settled yet.
    """

    skipped: int = 0
    backlog: int = 0
    pending: tuple[int, ...] = ()


class Looks(Protocol):
    """What the watcher asks of a directory; see `Directory`."""

    def look(self) -> Listing:
        """List the directory."""

    def retire(self, checkpoint: Checkpoint) -> None:
        """Leave a settled checkpoint out from now on."""

    def doubt(self, checkpoint: Checkpoint) -> None:
        """Look at a checkpoint's files again."""

    def nested(self) -> list[str]:
        """Return the subdirectories that hold checkpoints themselves."""


@dataclass
class Watcher:
    """An iterator over the checkpoints that the policy selects.

    `covered` knows what an earlier process settled, `training_finished` tells whether training has
    ended, `group_limit` how many of so many waiting ones to evaluate together; `beat` is called before
    each look into a file. `ended` is the reason once the iterator ended by itself; it stays None where
    `stop` ended it.
    """

    directory: Looks
    policy: Policy
    clock: Clock
    stop: threading.Event
    notices: Notices
    training_finished: Callable[[Listing], bool] = lambda _listing: False
    covered: Callable[[Checkpoint], bool] = lambda _checkpoint: False
    on_look: Callable[[Listing], None] = lambda _listing: None
    beat: Callable[[], None] = lambda: None
    group_limit: Callable[[int], int] = lambda _waiting: 1
    highest_settled: int | None = None
    ended: EndReason | None = None
    _settled: set[object] = field(default_factory=set)
    _known_uncovered: set[object] = field(default_factory=set)
    _inspected: set[object] = field(default_factory=set)
    _passed: list[Checkpoint] = field(default_factory=list)
    _waiting: dict[object, Checkpoint] = field(default_factory=dict)
    _retries: Retries = field(init=False)
    _unused_listing: Listing | None = None
    _last_news: float = 0.0
    _last_reminder: float = 0.0
    _looks_since_end: int = 0
    _end_seen_at: float = 0.0
    _waits: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        """Try unreadable files for as long as the mount may show an old view of them."""
        self._retries = Retries(self.policy.listing_age)

    def __iter__(self) -> Iterator[Group]:
        """Yield groups until all is settled after the end of training, or `stop` is set."""
        self._last_news = self._last_reminder = self.clock.monotonic()
        while not self.stop.is_set() and not self._has_reached_maximum():
            with self._lock:
                listing = self._next_listing()
                unsettled = self._unsettled(listing)
                end = self._end_of_training(listing)
                is_last_chance = end is not None and self._is_drained()
                group = self._choose(listing, unsettled, is_last_chance=is_last_chance)
            if group:
                self._waits = 0
                yield group
            elif is_last_chance and not unsettled:
                self.ended = end
                return
            else:
                self._remind(listing)
                self._wait(is_busy=bool(unsettled or end))

    def retry(self, checkpoint: Checkpoint, message: str) -> bool:
        """Put a checkpoint off after a failed read; return False once its attempts are used up."""
        delay = self._retries.fail(checkpoint, self.clock.monotonic())
        if delay is None:
            return False
        _log.warning("Checkpoint %s cannot be read; retrying in %.1f s. %s", checkpoint.name, delay, message)
        self.directory.doubt(checkpoint)
        return True

    def still_lists(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a fresh look shows a checkpoint whose files could not be found."""
        with self._lock:
            return any(found.key == checkpoint.key for found in self.directory.look().checkpoints)

    def settle(self, checkpoint: Checkpoint, *, evaluated: bool = True) -> Remaining:
        """Never hand this checkpoint out again, nor under Latest any older than one that was evaluated."""
        with self._lock:
            self._settled.add(checkpoint.key)
            if evaluated and self.policy.selection is Selection.LATEST:
                self._passed = [*(c for c in self._passed if _track(c) != _track(checkpoint)), checkpoint]
            if checkpoint.number is not None:
                self.highest_settled = max(checkpoint.number, self.highest_settled or 0)
            self._retries.forget(checkpoint)
            self._waiting.pop(checkpoint.key, None)
            skipped = self._pass_over() if evaluated else 0
            self._last_news = self.clock.monotonic()
            return self._remaining(skipped)

    def _pass_over(self) -> int:
        """Forget the waiting ones that Latest does not select any more; return how many there are."""
        if self.policy.selection is not Selection.LATEST:
            return 0
        passed = [key for key, waiting in self._waiting.items() if self._is_settled(waiting)]
        for key in passed:
            del self._waiting[key]
        return len(passed)

    def abandon(self, checkpoint: Checkpoint) -> Remaining:
        """Settle this one as far as can be done without reading anything and without waiting for a lock.

        For another thread, while this one hangs in the storage or in an evaluation.
        """
        self._settled.add(checkpoint.key)
        self._waiting.pop(checkpoint.key, None)
        others = list(self._waiting.values())
        return Remaining(0, len(others), tuple(sorted(c.number for c in others if c.number is not None)))

    def upcoming(self, taken: Collection[Checkpoint], limit: int) -> list[Checkpoint]:
        """Return what a fresh look would hand out after those taken, at most so many."""
        with self._lock:
            unsettled = self._unsettled(self.directory.look())
            taken_keys = {checkpoint.key for checkpoint in taken}
            waiting = [found for found in unsettled if not found.missing and found.key not in taken_keys]
            if self.policy.selection is Selection.LATEST:
                waiting = [found for found in waiting if not any(_is_older(found, other) for other in taken)]
            return self._ready(waiting, limit)

    def _remaining(self, skipped: int) -> Remaining:
        self._unused_listing = self._unused_listing or self._look()
        unsettled = self._unsettled(self._unused_listing)
        complete = self._notice(unsettled)
        numbers = {c.number for c in (*unsettled, *self._waiting.values()) if c.number is not None}
        return Remaining(skipped, len(complete), tuple(sorted(numbers)))

    def _next_listing(self) -> Listing:
        listing, self._unused_listing = self._unused_listing or self._look(), None
        self.on_look(listing)
        return listing

    def _look(self) -> Listing:
        began = self.clock.monotonic()
        listing = self.directory.look()
        newest = max((found.modified_at for found in listing.checkpoints if not found.missing), default=None)
        self.notices.looked(self.clock.monotonic() - began, newest)
        return listing

    def _wait(self, *, is_busy: bool) -> None:
        """Wait for a change; not long while something is to be looked at again, less and less often."""
        now = self.clock.monotonic()
        longest = LONGEST
        if is_busy:
            longest = min(_SHORTEST_WAIT * 2 ** min(self._waits, 10), _LONGEST_WAIT_WHEN_UNSETTLED)
        ends = [longest, self._retries.next_due(now), self._until_timeout()]
        changed = self.notices.wait(min(end for end in ends if end is not None and end > 0))
        self._waits = 0 if changed else self._waits + 1

    def _until_timeout(self) -> float | None:
        """Return the seconds until no checkpoint has come for too long, None where there is no limit."""
        limit = self.policy.no_checkpoint_timeout
        return None if limit is None else self._last_news + limit - self.clock.monotonic()

    def _unsettled(self, listing: Listing) -> list[Checkpoint]:
        """Return the checkpoints of a listing that are still to be settled; retire the others."""
        unsettled = []
        for found in listing.checkpoints:
            if self._is_settled(found):
                self.directory.retire(found)
            else:
                unsettled.append(found)
        return unsettled

    def _choose(self, listing: Listing, unsettled: list[Checkpoint], *, is_last_chance: bool) -> Group:
        complete = self._notice(unsettled)
        ready = self._ready(complete, max(1, self.group_limit(len(complete))))
        if ready:
            return tuple(Candidate(found) for found in ready)
        vanished = self._vanished(unsettled) if listing.exists else None
        if vanished:
            return (Candidate(vanished, CheckpointGone("It was deleted before it was evaluated.")),)
        return self._give_up(unsettled) if is_last_chance else ()

    def _vanished(self, unsettled: Sequence[Checkpoint]) -> Checkpoint | None:
        """Return one that was complete and is not there any more."""
        if len(self._waiting) == sum(not found.missing for found in unsettled):
            return None  # all that wait are there
        present = {found.key for found in unsettled}
        return next((found for key, found in self._waiting.items() if key not in present), None)

    def _ready(self, complete: Sequence[Checkpoint], limit: int) -> list[Checkpoint]:
        """Return the first of the complete ones that may be read now; under Latest the newest alone."""
        now = self.clock.monotonic()
        if self.policy.selection is Selection.LATEST:
            newest = next((found for found in reversed(complete) if not self._lacks(found)), None)
            return [newest] if newest and self._retries.is_due(newest, now) else []
        ready: list[Checkpoint] = []
        for found in complete:
            if self._retries.is_due(found, now) and not self._lacks(found):
                ready.append(found)
                if len(ready) >= limit or self._is_maximum(found.number):
                    break
        return ready

    def _notice(self, unsettled: list[Checkpoint]) -> list[Checkpoint]:
        """Return the ones complete by their listing, in order; remember them, so that deletions are noticed."""
        complete = [found for found in unsettled if not found.missing]
        fresh = {found.key: found for found in complete}
        if fresh.keys() - self._waiting.keys():
            self._last_news = self.clock.monotonic()
        fixed_names = {found.name for found in unsettled if found.number is None}
        if fixed_names:  # what was written again is not gone
            self._waiting = {key: found for key, found in self._waiting.items() if found.name not in fixed_names}
        self._waiting |= fresh
        return complete

    def _lacks(self, checkpoint: Checkpoint) -> str:
        """Say what a checkpoint lacks; look into one only until it lacks nothing."""
        identity = (checkpoint.name, checkpoint.files)
        if checkpoint.missing or identity in self._inspected:
            return checkpoint.missing
        self.beat()
        lacking = _look_into(checkpoint)
        if lacking:
            self.directory.doubt(checkpoint)
        else:
            self._inspected.add(identity)
        return lacking

    def _give_up(self, unsettled: list[Checkpoint]) -> Group:
        """After the end of training, try half-written checkpoints a last few times."""
        now = self.clock.monotonic()
        for found in unsettled:
            if self._retries.is_due(found, now) and (lacking := self._lacks(found)):
                message = f"It is half-written: {lacking}."
                if not self.retry(found, message):
                    return (Candidate(found, CheckpointUnreadable(message)),)
        return ()

    def _is_settled(self, checkpoint: Checkpoint) -> bool:
        key = checkpoint.key
        if key in self._settled or any(_is_older(checkpoint, passed) for passed in self._passed):
            return True
        if key not in self._known_uncovered:
            if self.covered(checkpoint):
                return True
            self._known_uncovered.add(key)
        return False

    def _end_of_training(self, listing: Listing) -> EndReason | None:
        left, end = self._until_timeout(), None
        if self.training_finished(listing):
            end = EndReason.TRAINING_FINISHED
        elif left is not None and left <= 0:
            end = EndReason.NO_CHECKPOINT_TIMEOUT
        if end and self._looks_since_end == 0:
            self._end_seen_at = self.clock.monotonic()
        self._looks_since_end = self._looks_since_end + listing.fresh if end else 0
        return end

    def _is_drained(self) -> bool:
        """Tell whether whatever training wrote before its end must have been seen by now."""
        passed = self.clock.monotonic() - self._end_seen_at
        return self._looks_since_end >= _LOOKS_TO_DRAIN and passed >= self.policy.listing_age

    def _has_reached_maximum(self) -> bool:
        reached = self._is_maximum(self.highest_settled)
        if reached:
            self.ended = EndReason.MAX_EVALUATIONS
        return reached

    def _is_maximum(self, number: int | None) -> bool:
        limit = self.policy.max_evaluations
        return limit is not None and number is not None and number >= limit

    def _remind(self, listing: Listing) -> None:
        now = self.clock.monotonic()
        if now - max(self._last_news, self._last_reminder) < REMINDER_SECONDS:
            return
        self._last_reminder = now
        _log.info("No new checkpoint for %.0f s. %s", now - self._last_news, self._hint(listing))

    def _hint(self, listing: Listing) -> str:
        if not listing.exists:
            return "The checkpoint directory does not exist yet; waiting for training to make it."
        if listing.checkpoints or self.highest_settled is not None or self._settled:
            return "Waiting for training to finish the next one."
        if nested := self.directory.nested():
            return f"The directory holds no checkpoint, but {_examples(nested)} below it does: name that directory."
        return (
            f"The directory holds {_others(listing.names)}. Save checkpoints with tf.train.CheckpointManager, "
            "OrbaxCheckpoint, or ModelCheckpoint and a file name such as ckpt-{epoch}.weights.h5 or ckpt-{epoch}.keras."
        )


def _look_into(checkpoint: Checkpoint) -> str:
    """Ask the format what is lacking; what keeps it from looking is a lack too, unless the mount has died."""
    try:
        return checkpoint.format.inspect(checkpoint)
    except Exception as error:
        if is_storage_gone(error):
            raise StorageGoneError(f"The storage has died: {first_line(error)}") from error
        return f"it cannot be looked into: {first_line(error)}"


def _track(checkpoint: Checkpoint) -> bool:
    return checkpoint.number is not None


def _is_older(checkpoint: Checkpoint, passed: Checkpoint) -> bool:
    """Compare two with numbers or two without; one with and one without cannot be compared."""
    return _track(checkpoint) == _track(passed) and checkpoint.order <= passed.order


def _examples(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:3])


def _others(names: Collection[str]) -> str:
    return f"no checkpoint, only {_examples(names)}" if names else "no file yet"
