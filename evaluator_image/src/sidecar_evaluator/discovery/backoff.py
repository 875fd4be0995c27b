"""How often, and when again, a checkpoint that could not be read is tried: a bounded back-off.

The iterator asks before it hands out a checkpoint. A checkpoint whose files have changed since the
last failure starts anew, after the shortest pause and not without end: some mounts report another
time at every look. Pure: the time is an argument.
"""

from dataclasses import dataclass, field

from sidecar_evaluator.checkpoints.interface import Checkpoint, FileState

SHORTEST_PAUSE = 0.5
LEAST_ATTEMPTS = 5
MOST_ATTEMPTS = 20  # however often the files change


@dataclass(frozen=True)
class _Failures:
    """The failed attempts on one checkpoint: `count` with these files, `total` with any."""

    files: tuple[FileState, ...]
    count: int
    total: int
    failed_at: float
    not_before: float


@dataclass
class Backoff:
    """Failed attempts by checkpoint name; times are monotonic seconds.

    `listing_age` is how long a mount may show an old view of a file: attempts go on for at least so long.
    """

    listing_age: float = 0.0
    _failures: dict[str, _Failures] = field(default_factory=dict)

    def fail(self, checkpoint: Checkpoint, now: float) -> float | None:
        """Count a failure; return the seconds until the next attempt, None after the last one."""
        earlier = self._failures.get(checkpoint.name)
        has_same_files = earlier is not None and earlier.files == checkpoint.files
        count = (earlier.count if earlier and has_same_files else 0) + 1
        total = (earlier.total if earlier else 0) + 1
        pause = self._pause_after(count) if total < MOST_ATTEMPTS else None
        self._failures[checkpoint.name] = _Failures(checkpoint.files, count, total, now, now + (pause or 0.0))
        return pause

    def is_due(self, checkpoint: Checkpoint, now: float) -> bool:
        """Tell whether the checkpoint may be tried now."""
        failures = self._failures.get(checkpoint.name)
        if failures is None:
            return True
        has_changed = failures.files != checkpoint.files
        return now >= (failures.failed_at + SHORTEST_PAUSE if has_changed else failures.not_before)

    def next_due(self, now: float) -> float | None:
        """Return the seconds until the next one may be tried, None where none is put off."""
        pauses = [failures.not_before - now for failures in self._failures.values() if failures.not_before > now]
        return min(pauses, default=None)

    def forget(self, checkpoint: Checkpoint) -> None:
        """Drop a settled checkpoint."""
        self._failures.pop(checkpoint.name, None)

    def _pause_after(self, attempts: int) -> float | None:
        """Return the pause after so many attempts, each twice as long as the one before; None for no more."""
        waited = SHORTEST_PAUSE * (2 ** (attempts - 1) - 1)
        if attempts >= LEAST_ATTEMPTS and waited >= self.listing_age:
            return None
        return SHORTEST_PAUSE * 2.0 ** (attempts - 1)
