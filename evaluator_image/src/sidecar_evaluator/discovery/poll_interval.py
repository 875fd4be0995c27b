"""Computes the poll interval of a checkpoint directory from the duration of polls and the cadence of checkpoints.

`discovery.change_waiter` asks before each wait. Listing a remote bucket costs time and money, a long listing
costs CPU: polling may take about `SHARE` of the time. Without change notifications, most of that budget is spent
when the next checkpoint is due, which is estimated from the times at which earlier ones were written.
Pure computation: it must not read the clock or the directory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

SHARE = 0.02
USUAL = 1.0
"""The longest poll interval while a checkpoint is due, unless a single poll takes long."""
LONGEST = 5.0
"""The longest poll interval, however long a poll takes."""

_MAX_GAPS = 6
_STILL_WRITTEN = 2.0  # a checkpoint newer by less than this is the previous one, still being written
_MAX_DURATIONS = 3  # their median ignores the one poll that inspected a new checkpoint
_SHARE_WHEN_DUE = 0.33  # the highest share of time for slow polls while a checkpoint is due
_SHARE_WHEN_UNKNOWN = 0.1
_SHARE_OF_CHANGES = 0.1  # where every poll follows a change notification
_BURST = 0.5  # seconds of polls that may follow each other without delay


def poll_seconds(poll: float, since: float, gaps: Sequence[float], shortest: float) -> float:
    """Return the time until the next poll where there are no change notifications.

    `poll` is the duration of a poll, `since` the time since the newest checkpoint was noticed, `gaps`
    the times between the earlier checkpoints; all in seconds.
    """
    budget = poll / SHARE
    if not gaps:
        return _clamp(budget, shortest, _limit(poll, _SHARE_WHEN_UNKNOWN))
    early, late = 0.95 * min(gaps) - USUAL, 1.05 * max(gaps) + USUAL
    if since < early:  # half of the budget is spent here, the other half while a checkpoint is due
        return _clamp(2 * budget, shortest, min(LONGEST, max(early - since, shortest)))
    if since <= late:
        return _clamp(budget * min(2 * (late - early) / late, 1), shortest, _limit(poll, _SHARE_WHEN_DUE))
    return _clamp(budget, shortest, LONGEST)


def _limit(poll: float, share: float) -> float:
    return _clamp(poll / share, USUAL, LONGEST)


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), max(low, high))


@dataclass
class PollInterval:
    """The poll interval of one directory, learned from its polls; `now` is in monotonic seconds everywhere."""

    shortest: float = 0.02
    _durations: list[float] = field(default_factory=list)
    _gaps: list[float] = field(default_factory=list)
    _newest: float | None = None
    _noticed_at: float = 0.0
    _credit: float = _BURST
    _credited_at: float | None = None

    def record_poll(self, seconds: float, newest: float | None, now: float) -> None:
        """Record how long a poll took and when the newest checkpoint in its listing was written."""
        self._durations = [*self._durations, seconds][-_MAX_DURATIONS:]
        self._refill(now)
        self._credit = max(self._credit - self._duration(), -_BURST)
        if newest is not None and (self._newest is None or newest > self._newest):
            if self._newest is not None:
                self._record_gap(newest - self._newest)
            self._newest, self._noticed_at = newest, now

    def poll_seconds(self, now: float) -> float:
        """Return the time until the next poll where there are no change notifications."""
        return poll_seconds(self._duration(), now - self._noticed_at, self._gaps, self.shortest)

    def delay_seconds(self, now: float) -> float:
        """Return how long to delay the poll that follows a change notification; longer the more a burst has cost."""
        self._refill(now)
        return min(max(-self._credit / _SHARE_OF_CHANGES, 0.0), USUAL)

    def _record_gap(self, gap: float) -> None:
        if gap > _STILL_WRITTEN:
            self._gaps = [*self._gaps, gap][-_MAX_GAPS:]
        elif self._gaps:
            self._gaps[-1] += gap

    def _duration(self) -> float:
        return median(self._durations) if self._durations else 0.0

    def _refill(self, now: float) -> None:
        elapsed = now - self._credited_at if self._credited_at is not None else 0.0
        self._credit, self._credited_at = min(self._credit + elapsed * _SHARE_OF_CHANGES, _BURST), now
