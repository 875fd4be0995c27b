"""Which checkpoint comes next: an iterator over a directory that training is writing to.

The loop's `for` goes over a `Watcher`: completeness, order, retries, the end of training and the
waiting between looks live here; evaluation does not. The loop answers every candidate with
`settle`, or with `retry` as long as that returns True.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from sidecar_evaluator.checkpoints.directory import Listing
from sidecar_evaluator.checkpoints.interface import Checkpoint
from sidecar_evaluator.clock import Clock
from sidecar_evaluator.errors import CheckpointError, CheckpointGone, CheckpointUnreadable
from sidecar_evaluator.ledger import EndReason, Selection
from sidecar_evaluator.retrying import Retries

_log = logging.getLogger(__name__)

REMINDER_SECONDS = 30.0
_SHARE_OF_TIME_LISTING = 0.02  # a listing of a remote bucket takes time and money, a long one a processor
_LOOKS_TO_DRAIN = 3  # a weights file is complete at its second look; one more for a slow mount


@dataclass(frozen=True)
class Policy:
    """What to hand out and when to stop; times are seconds."""

    selection: Selection = Selection.LATEST
    max_evaluations: int | None = None
    no_checkpoint_timeout: float | None = None
    shortest_poll: float = 0.02
    longest_poll: float = 1.0


@dataclass(frozen=True)
class Candidate:
    """A checkpoint to settle now; with an `error` there is nothing left to evaluate."""

    checkpoint: Checkpoint
    error: CheckpointError | None = None


@dataclass(frozen=True)
class Remaining:
    """What is left after a checkpoint was settled.

    `skipped` were passed over for it, `backlog` complete ones wait, `pending` are the numbers of all
    that are not settled yet.
    """

    skipped: int = 0
    backlog: int = 0
    pending: tuple[int, ...] = ()


@dataclass
class Watcher:
    """An iterator over the checkpoints that the policy selects.

    `look` lists the directory, `covered` knows what an earlier process settled, and
    `training_finished` tells whether training has ended. `ended` is the reason once the iterator
    ended by itself; it stays None where `stop` ended it.
    """

    look: Callable[[], Listing]
    policy: Policy
    clock: Clock
    stop: threading.Event
    training_finished: Callable[[Listing], bool] = lambda _listing: False
    covered: Callable[[Checkpoint], bool] = lambda _checkpoint: False
    on_look: Callable[[Listing], None] = lambda _listing: None
    highest_settled: int | None = None
    ended: EndReason | None = None
    _settled: set[object] = field(default_factory=set)
    _passed: list[Checkpoint] = field(default_factory=list)
    _waiting: dict[object, Checkpoint] = field(default_factory=dict)
    _retries: Retries = field(default_factory=Retries)
    _unused_listing: Listing | None = None
    _last_news: float = 0.0
    _last_reminder: float = 0.0
    _looks_since_end: int = 0

    def __iter__(self) -> Iterator[Candidate]:
        """Yield candidates until all is settled after the end of training, or `stop` is set."""
        self._last_news = self._last_reminder = self.clock.monotonic()
        while not self.stop.is_set() and not self._has_reached_maximum():
            began = self.clock.monotonic()
            listing = self._next_listing()
            unsettled = [found for found in listing.checkpoints if not self._is_settled(found)]
            end = self._end_of_training(listing)
            candidate = self._choose(listing, unsettled, is_last_chance=self._looks_since_end >= _LOOKS_TO_DRAIN)
            if candidate:
                yield candidate
            elif end and self._looks_since_end >= _LOOKS_TO_DRAIN and not unsettled:
                self.ended = end
            else:
                self._remind(listing)
                self.clock.wait(self._poll_seconds(listing, self.clock.monotonic() - began), self.stop)
            if self.ended:
                return

    def retry(self, checkpoint: Checkpoint, message: str) -> bool:
        """Put a checkpoint off after a failed read; return False once its attempts are used up."""
        delay = self._retries.fail(checkpoint, self.clock.monotonic())
        if delay is None:
            return False
        _log.warning("Checkpoint %s cannot be read; retrying in %.1f s. %s", checkpoint.name, delay, message)
        return True

    def settle(self, checkpoint: Checkpoint, *, evaluated: bool = True) -> Remaining:
        """Never hand this checkpoint out again, nor under Latest any older than one that was evaluated."""
        self._settled.add(_key(checkpoint))
        if evaluated and self.policy.selection is Selection.LATEST:
            self._passed = [*(c for c in self._passed if _track(c) != _track(checkpoint)), checkpoint]
        if checkpoint.number is not None:
            self.highest_settled = max(checkpoint.number, self.highest_settled or 0)
        self._retries.forget(checkpoint)
        others = [waiting for key, waiting in self._waiting.items() if key != _key(checkpoint)]
        skipped = sum(self._is_settled(other) for other in others)
        self._last_news = self.clock.monotonic()
        return self._remaining(skipped)

    def _remaining(self, skipped: int) -> Remaining:
        self._unused_listing = self.look()
        unsettled = [found for found in self._unused_listing.checkpoints if not self._is_settled(found)]
        complete = self._notice(unsettled)
        numbers = {c.number for c in (*unsettled, *self._waiting.values()) if c.number is not None}
        return Remaining(skipped, len(complete), tuple(sorted(numbers)))

    def _next_listing(self) -> Listing:
        listing, self._unused_listing = self._unused_listing or self.look(), None
        self.on_look(listing)
        return listing

    def _choose(self, listing: Listing, unsettled: list[Checkpoint], *, is_last_chance: bool) -> Candidate | None:
        complete = self._notice(unsettled)
        selected = complete[-1:] if self.policy.selection is Selection.LATEST else complete
        now = self.clock.monotonic()
        ready = next((c for c in selected if self._retries.is_due(c, now)), None)
        if ready:
            return Candidate(ready)
        present = {_key(found) for found in unsettled}
        vanished = next((c for key, c in self._waiting.items() if key not in present), None)
        if vanished and listing.exists:
            return Candidate(vanished, CheckpointGone("It was deleted before it was evaluated."))
        return self._give_up(unsettled, complete) if is_last_chance else None

    def _notice(self, unsettled: list[Checkpoint]) -> list[Checkpoint]:
        """Return the complete ones in order; remember them, so that deletions are noticed."""
        complete = [found for found in unsettled if not _lacks(found)]
        fresh = {_key(found): found for found in complete}
        if fresh.keys() - self._waiting.keys():
            self._last_news = self.clock.monotonic()
        waiting = {key: known for key, known in self._waiting.items() if not self._is_settled(known)}
        self._waiting = waiting | fresh
        return complete

    def _give_up(self, unsettled: list[Checkpoint], complete: list[Checkpoint]) -> Candidate | None:
        """After the end of training, try half-written checkpoints a last few times."""
        now = self.clock.monotonic()
        for found in unsettled:
            if found not in complete and self._retries.is_due(found, now):
                message = f"It is half-written: {_lacks(found)}."
                if not self.retry(found, message):
                    return Candidate(found, CheckpointUnreadable(message))
        return None

    def _is_settled(self, checkpoint: Checkpoint) -> bool:
        return (
            _key(checkpoint) in self._settled
            or any(_is_older(checkpoint, passed) for passed in self._passed)
            or self.covered(checkpoint)
        )

    def _end_of_training(self, listing: Listing) -> EndReason | None:
        quiet = self.clock.monotonic() - self._last_news
        limit = self.policy.no_checkpoint_timeout
        end = None
        if self.training_finished(listing):
            end = EndReason.TRAINING_FINISHED
        elif limit is not None and quiet >= limit:
            end = EndReason.NO_CHECKPOINT_TIMEOUT
        self._looks_since_end = self._looks_since_end + listing.fresh if end else 0
        return end

    def _has_reached_maximum(self) -> bool:
        limit, highest = self.policy.max_evaluations, self.highest_settled
        reached = limit is not None and highest is not None and highest >= limit
        if reached:
            self.ended = EndReason.MAX_EVALUATIONS
        return reached

    def _poll_seconds(self, listing: Listing, listing_seconds: float) -> float:
        if not listing.fresh:
            return self.policy.longest_poll
        seconds = listing_seconds / _SHARE_OF_TIME_LISTING
        return min(max(seconds, self.policy.shortest_poll), self.policy.longest_poll)

    def _remind(self, listing: Listing) -> None:
        now = self.clock.monotonic()
        if now - max(self._last_news, self._last_reminder) < REMINDER_SECONDS:
            return
        self._last_reminder = now
        _log.info("No new checkpoint for %.0f s. %s", now - self._last_news, _hint(listing))


def _key(checkpoint: Checkpoint) -> object:
    """Return what makes a checkpoint the same one: its name, and without a number also its files."""
    return checkpoint.name if checkpoint.number is not None else (checkpoint.name, checkpoint.files)


def _track(checkpoint: Checkpoint) -> bool:
    return checkpoint.number is not None


def _is_older(checkpoint: Checkpoint, passed: Checkpoint) -> bool:
    """Compare two with numbers or two without; one with and one without cannot be compared."""
    return _track(checkpoint) == _track(passed) and checkpoint.order <= passed.order


def _lacks(checkpoint: Checkpoint) -> str:
    return checkpoint.missing or checkpoint.format.inspect(checkpoint)


def _hint(listing: Listing) -> str:
    if not listing.exists:
        return "The checkpoint directory does not exist yet; waiting for training to make it."
    if listing.checkpoints:
        return "Waiting for training to finish the next one."
    others = _examples(listing.files)
    return (
        f"The directory holds {others}. Save checkpoints with tf.train.CheckpointManager, or with "
        "ModelCheckpoint(save_weights_only=True) and a file name such as ckpt-{epoch}.weights.h5."
    )


def _examples(names: Iterable[str]) -> str:
    shown = sorted(names)[:3]
    return f"no checkpoint, only {', '.join(shown)}" if shown else "no file yet"
