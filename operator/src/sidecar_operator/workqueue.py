"""The work queue: which resources need a pass, each at most once at a time.

`handlers` and `controller` add keys, workers take them. A key that is added while it waits is merged; one that is
added while a worker has it gets another pass afterwards, so no wake-up is lost. Namespaces take turns: one with
thousands of waiting keys delays the others by one pass. A failed key comes back after a delay that grows with each
failure. The clock is an argument.
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


class Turns:
    """Waiting keys, each once, handed out by namespaces in turn and in order of arrival within a namespace."""

    def __init__(self) -> None:
        self._namespaces: dict[str, dict[Key, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: Key) -> None:
        """Append a key, unless it waits already; a namespace without waiting keys comes after all that have some."""
        keys = self._namespaces.setdefault(key.namespace, {})
        self._count += key not in keys
        keys[key] = None

    def take(self) -> Key | None:
        """Remove the next key and return it; its namespace comes last afterwards."""
        if not self._namespaces:
            return None
        namespace = next(iter(self._namespaces))
        keys = self._namespaces.pop(namespace)
        key = next(iter(keys))
        del keys[key]
        self._count -= 1
        if keys:
            self._namespaces[namespace] = keys
        return key


class WorkQueue:
    """Keys that wait for a pass, are in one, or come back later."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting = Turns()
        self._in_progress: set[Key] = set()
        self._added_in_progress: set[Key] = set()
        self._delayed: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Ask for a pass over the key as soon as a worker is free, and not while the API server asks to wait."""
        if key in self._in_progress:
            self._added_in_progress.add(key)
        elif (delay := self._not_before.get(key, 0.0) - self._clock()) > 0:
            self.add_after(key, delay)
        else:
            self._not_before.pop(key, None)
            self._waiting.add(key)
        self._changed.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for a pass after a delay; an earlier date that is already set stays."""
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._delayed, (due, key))
            self._changed.set()

    def take(self) -> Key | None:
        """Return the next key and mark it as in progress; None while there is none."""
        self._add_due()
        key = self._waiting.take()
        if key is not None:
            self._in_progress.add(key)
        return key

    def done(self, key: Key) -> None:
        """Return a key after a pass that succeeded."""
        self._failures.pop(key, None)
        self._release(key)

    def failures(self, key: Key) -> int:
        """Return how many passes over the key have failed since the last that succeeded."""
        return self._failures.get(key, 0)

    def failed(self, key: Key, at_least: float = 0.0) -> float:
        """Return a key after a pass that failed; the result is the seconds until it is tried again.

        `at_least` is how long the API server asks to wait: until then no wake-up brings the key back.
        """
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = max(min(FIRST_DELAY * 2.0 ** min(count, 10), LONGEST_DELAY), at_least)
        if at_least:
            self._not_before[key] = self._clock() + at_least
        self.add_after(key, delay)
        self._release(key)
        return delay

    def seconds_until_due(self) -> float | None:
        """Return how long until a delayed key is due; None where there is none."""
        return max(0.0, self._delayed[0][0] - self._clock()) if self._delayed else None

    async def get(self) -> Key:
        """Wait for the next key; only one task may wait at a time."""
        while (key := self.take()) is None:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds_until_due()):
                    await self._changed.wait()
        return key

    def _add_due(self) -> None:
        while self._delayed and self._delayed[0][0] <= self._clock():
            due, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    def _release(self, key: Key) -> None:
        self._in_progress.discard(key)
        if key in self._added_in_progress:
            self._added_in_progress.discard(key)
            self.add(key)
