"""How often to look at a checkpoint directory: numbers from what looks cost and when checkpoints came. Pure.

`noticing` asks before each wait. A listing of a remote bucket takes time and money, a long one a
processor: about `SHARE` of the time may go into looks. Where nothing tells of changes, the budget is
spent when a checkpoint is due, learned from the times at which earlier ones were written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

SHARE = 0.02
USUAL = 1.0
"""The longest time between two looks while a checkpoint may come, unless a look itself takes long."""
LONGEST = 5.0
"""The longest time between two looks, however long a look takes."""

_GAPS = 6
_STILL_WRITTEN = 2.0  # a checkpoint newer by less than this is the last one, still being written
_LOOKS = 3  # the median of so many is not stretched by the one that looked into a new checkpoint
_SHARE_WHEN_DUE = 0.33  # of the time, where a look is so slow that polls would otherwise follow each other closely
_SHARE_WHEN_UNKNOWN = 0.1
_SHARE_OF_CHANGES = 0.1  # where every look is for a change
_BURST = 0.5  # seconds of looks that may follow each other closely


def poll_seconds(look: float, since: float, gaps: Sequence[float], shortest: float) -> float:
    """Return the time until the next look where nothing tells of changes.

    `look` is how long a look takes, `since` the time since the newest checkpoint was noticed, `gaps`
    the times between those before it; all in seconds.
    """
    fair = look / SHARE
    if not gaps:
        return _within(fair, shortest, _limit(look, _SHARE_WHEN_UNKNOWN))
    early, late = 0.95 * min(gaps) - USUAL, 1.05 * max(gaps) + USUAL
    if since < early:  # half of the budget goes here, the other half into the time when one is due
        return _within(2 * fair, shortest, min(LONGEST, max(early - since, shortest)))
    if since <= late:
        return _within(fair * min(2 * (late - early) / late, 1), shortest, _limit(look, _SHARE_WHEN_DUE))
    return _within(fair, shortest, LONGEST)


def _limit(look: float, share: float) -> float:
    return _within(look / share, USUAL, LONGEST)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), max(low, high))


@dataclass
class Pace:
    """What was learned about one directory; `now` is monotonic seconds everywhere."""

    shortest: float = 0.02
    _looks: list[float] = field(default_factory=list)
    _gaps: list[float] = field(default_factory=list)
    _newest: float | None = None
    _noticed: float = 0.0
    _credit: float = _BURST
    _credited: float | None = None

    def looked(self, seconds: float, newest: float | None, now: float) -> None:
        """Take note of a look: how long it took and when the newest checkpoint that it saw was written."""
        self._looks = [*self._looks, seconds][-_LOOKS:]
        self._refill(now)
        self._credit = max(self._credit - self._look_seconds(), -_BURST)
        if newest is not None and (self._newest is None or newest > self._newest):
            if self._newest is not None:
                self._learn(newest - self._newest)
            self._newest, self._noticed = newest, now

    def poll_seconds(self, now: float) -> float:
        """Return the time until the next look where nothing tells of changes."""
        return poll_seconds(self._look_seconds(), now - self._noticed, self._gaps, self.shortest)

    def rest_seconds(self, now: float) -> float:
        """Return how long a change must wait: nothing at first, more the more time a burst of them has cost."""
        self._refill(now)
        return min(max(-self._credit / _SHARE_OF_CHANGES, 0.0), USUAL)

    def _learn(self, gap: float) -> None:
        if gap > _STILL_WRITTEN:
            self._gaps = [*self._gaps, gap][-_GAPS:]
        elif self._gaps:
            self._gaps[-1] += gap

    def _look_seconds(self) -> float:
        return median(self._looks) if self._looks else 0.0

    def _refill(self, now: float) -> None:
        passed = now - self._credited if self._credited is not None else 0.0
        self._credit, self._credited = min(self._credit + passed * _SHARE_OF_CHANGES, _BURST), now
