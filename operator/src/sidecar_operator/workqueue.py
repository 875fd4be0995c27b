"""The work queue: which resources to look at, each at most once at a time.

`handlers` and `controller` add keys, workers take them. A key that is added while it waits is merged; one that is
added while a worker has it is looked at again afterwards, so no wake-up is lost. A failed key comes back after a delay
that grows with each failure. Time comes from the clock it is given.
"""

import asyncio
import heapq
from collections.abc import Callable
from contextlib import suppress

from sidecar_operator.kube_objects import Key

Clock = Callable[[], float]

FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
"""Seconds before a failed key is tried again: the first time, and at most."""


class WorkQueue:
    """Keys that wait, are worked on, or come back later."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[Key, None] = {}
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._later: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Ask for a pass over the key as soon as a worker is free."""
        if key in self._working:
            self._again.add(key)
        else:
            self._waiting[key] = None
        self._changed.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for a pass after a delay; an earlier date that is already set stays."""
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._later, (due, key))
            self._changed.set()

    def take(self) -> Key | None:
        """Return the next key and mark it as worked on; None while there is none."""
        self._collect_due()
        if not self._waiting:
            return None
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        """Give a key back after a pass that went well."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: Key) -> float:
        """Give a key back after a pass that failed; return the seconds until it is tried again."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = min(FIRST_DELAY * 2.0 ** min(count, 10), LONGEST_DELAY)
        self.add_after(key, delay)
        self._release(key)
        return delay

    def seconds_until_due(self) -> float | None:
        """Return how long until a delayed key is due; None where there is none."""
        return max(0.0, self._later[0][0] - self._clock()) if self._later else None

    async def get(self) -> Key:
        """Wait for the next key; for one waiter only."""
        while (key := self.take()) is None:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds_until_due()):
                    await self._changed.wait()
        return key

    def _collect_due(self) -> None:
        while self._later and self._later[0][0] <= self._clock():
            due, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    def _release(self, key: Key) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
