"""What is read of objects that make no progress, because that alone can say why: seldom, and few for all together.

`reconcile` reads Warning events so, in each pass over a resource whose Job has no pod, or whose pod has no container
yet, and `pending_pods` the pods of trainings. In between they get what was read last: the longer an object has existed,
the seldomer it is read, and all objects of the cluster share a rate. Nothing here decides: after a restart everything
is read again. The clock is an argument.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sidecar_operator.kube_objects import KubeObject

Item = TypeVar("Item")
Clock = Callable[[], float]

SHORTEST_SECONDS = 3.0
LONGEST_SECONDS = 300.0
"""Between two reads about one object; in between, twice its age."""
PER_SECOND = 2.0
BURST = 10
"""Reads for all objects together: on average, and at once after a pause."""
KEPT_SECONDS = 900.0
"""How long what was read is kept of an object that nobody asks about any more."""


class Rate:
    """Hands out moments, so many a second, and some at once where none was asked for in a while."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._interval = 1 / per_second
        self._saved = burst * self._interval
        self._next = float("-inf")

    def reserve(self, now: float) -> float:
        """Take the next moment and return how many seconds it is away."""
        self._next = max(self._next, now - self._saved) + self._interval
        return max(0.0, self._next - now)


@dataclass
class _Reading(Generic[Item]):
    """What was read last about one object, and when it may be read again."""

    due: float
    has_turn: bool = False
    """Whether `due` is a moment that the rate has granted."""
    items: list[Item] = field(default_factory=list)


class SeldomReads(Generic[Item]):
    """Reads about objects, and remembers the answers until they may be read again."""

    def __init__(self, read: Callable[[KubeObject], Awaitable[list[Item]]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._rate = Rate(PER_SECOND, BURST)
        self._readings: OrderedDict[str, _Reading[Item]] = OrderedDict()

    async def about(self, obj: KubeObject, age: float) -> list[Item]:
        """Return what was read last about an object of this age in seconds."""
        now = self._clock()
        reading = self._readings.setdefault(obj.uid, _Reading(due=now))
        if now >= reading.due and self._has_turn(reading, now):
            reading.due = now + max(SHORTEST_SECONDS, min(2 * age, LONGEST_SECONDS))
            self._readings.move_to_end(obj.uid)
            self._forget(now)
            reading.items = await self._read(obj)
        return reading.items

    def last(self, obj: KubeObject) -> list[Item]:
        """Return what was read last about an object."""
        reading = self._readings.get(obj.uid)
        return reading.items if reading else []

    def seconds_until_due(self, obj: KubeObject) -> float:
        """Return after how many seconds to ask again about an object that was asked about."""
        reading = self._readings.get(obj.uid)
        return max(0.0, reading.due - self._clock()) if reading else SHORTEST_SECONDS

    def _has_turn(self, reading: _Reading[Item], now: float) -> bool:
        """Tell whether the rate allows to read now; where it does not, `due` becomes the moment at which it will."""
        if reading.has_turn:
            reading.has_turn = False
            return True
        delay = self._rate.reserve(now)
        reading.due, reading.has_turn = now + delay, delay > 0
        return delay == 0

    def _forget(self, now: float) -> None:
        while next(iter(self._readings.values())).due + KEPT_SECONDS < now:
            self._readings.popitem(last=False)
