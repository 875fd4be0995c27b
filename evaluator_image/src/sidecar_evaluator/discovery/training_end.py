"""Has training ended, and has everything been seen that it wrote? The signals that tell, behind one call.

The iterator asks after every look. On Kubernetes the state of the training is read from the own
resource by a watch; without a cluster training leaves a file beside its checkpoints; where neither
comes, no new checkpoint for too long is an end too. Another end of training belongs here. No
checkpoint is selected or settled here.
"""

from collections.abc import Callable

from sidecar_evaluator.discovery.directory import Listing
from sidecar_evaluator.results.ledger import EndReason

SENTINEL = "training.finished"
SUCCEEDED = "Succeeded"
FINISHED_STATES = frozenset({SUCCEEDED, "Failed", "Gone"})

STOPPING_SECONDS = 45.0
"""How long the pods of a training that failed or was deleted may take to save a last checkpoint and end."""

_LOOKS_TO_DRAIN = 3  # a weights file is complete at its second look; one more for a slow mount


class TrainingState:
    """The end of training as the resource tells it: a watch reports states, the iterator asks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._comes_at: float | None = None

    def report(self, state: str) -> None:
        """Take note of the training's state; one that goes on cancels an end: another training has taken its name."""
        if state not in FINISHED_STATES:
            self._comes_at = None
        elif self._comes_at is None:
            self._comes_at = self._clock() + (0.0 if state == SUCCEEDED else STOPPING_SECONDS)

    def has_ended(self) -> bool:
        """Tell whether no further checkpoint is to be expected."""
        return self._comes_at is not None and self._clock() >= self._comes_at


def training_finished(sentinel: str, has_ended: Callable[[], bool]) -> Callable[[Listing], bool]:
    """Return a check for the sentinel file in a listing, or for an end that is known otherwise."""
    return lambda listing: has_ended() or sentinel in listing.names


class TrainingEnd:
    """Why no further checkpoint comes, and whether the last one must have been seen.

    Without a checkpoint for `timeout` seconds, None for no limit, training counts as ended. A listing may
    be `listing_age` seconds old: for so long after the end a last checkpoint may still show up.
    """

    def __init__(self, finished: Callable[[Listing], bool], timeout: float | None, listing_age: float) -> None:
        self._finished = finished
        self._timeout = timeout
        self._listing_age = listing_age
        self._last_checkpoint_at = 0.0
        self._seen_at = 0.0
        self._looks_since = 0

    def expect_checkpoints(self, now: float) -> None:
        """Count the time without a checkpoint from now on: the iterator begins, or one came or was settled."""
        self._last_checkpoint_at = now

    def reason(self, listing: Listing, now: float) -> EndReason | None:
        """Return why training has ended by what a look saw, None while it goes on."""
        reason = None
        if self._finished(listing):
            reason = EndReason.TRAINING_FINISHED
        elif self._timeout is not None and self.seconds_to_timeout(now) <= 0:
            reason = EndReason.NO_CHECKPOINT_TIMEOUT
        if reason and self._looks_since == 0:
            self._seen_at = now
        self._looks_since = self._looks_since + listing.fresh if reason else 0
        return reason

    def is_drained(self, now: float) -> bool:
        """Tell whether whatever training wrote before its end must have been seen by now."""
        return self._looks_since >= _LOOKS_TO_DRAIN and now - self._seen_at >= self._listing_age

    def seconds_without_checkpoint(self, now: float) -> float:
        """Return for how long no checkpoint has come."""
        return now - self._last_checkpoint_at

    def seconds_to_timeout(self, now: float) -> float:
        """Return the seconds until no checkpoint has come for too long; infinite without a limit."""
        return float("inf") if self._timeout is None else self._last_checkpoint_at + self._timeout - now
