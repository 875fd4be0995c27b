"""The Lease that lets one operator work at a time: taken before anything is written, renewed, given back at the end.

`__main__` waits for it before it starts passes, keeps it renewed beside them, and lets the client write only while it
is held. Of two operators the second waits. A holder that cannot renew in time stops to write before another may take
over; it goes on when it can renew again, and ends if another has held the Lease meanwhile. Another holder's Lease has
expired once it has not changed for its duration on this process's own clock, so that clocks which differ do no harm.
Clocks and pauses are arguments.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sidecar_operator.kube_client import ApiError, ConflictError, NotFoundError
from sidecar_operator.kube_objects import JsonObject, Key, integer_at, object_at, text_at

logger = logging.getLogger(__name__)


class LeaseClient(Protocol):
    """The requests that are needed; `kube_client.KubeClient` has them."""

    async def read_lease(self, key: Key) -> JsonObject | None:
        """Read a Lease."""

    async def create_lease(self, key: Key, spec: JsonObject) -> JsonObject:
        """Create a Lease."""

    async def replace_lease(self, lease: JsonObject) -> JsonObject:
        """Replace a Lease, unless it has changed since it was read."""


class LeaseLostError(Exception):
    """Another operator holds the Lease, or has held it meanwhile."""


@dataclass(frozen=True)
class Clocks:
    """Time as the Lease needs it."""

    monotonic: Callable[[], float]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Lease:
    """The Lease of this name, for the operator of this identity, which no other process has."""

    def __init__(self, client: LeaseClient, key: Key, identity: str, seconds: float, clocks: Clocks) -> None:
        self._client = client
        self._key = key
        self._identity = identity
        self._seconds = seconds
        self._clocks = clocks
        self._stored: JsonObject | None = None
        self._unchanged_since = 0.0
        self._held_until = 0.0
        self._obstacle = "it has not been asked for yet"

    @property
    def is_held(self) -> bool:
        """Whether the operator may write now."""
        return self._clocks.monotonic() < self._held_until

    def describe(self) -> str:
        """Return how it stands, for the probe."""
        return "held" if self.is_held else f"waiting for Lease {self._key}: {self._obstacle}; nothing is written"

    async def acquire(self) -> bool:
        """Wait until it is held; tell whether that took more than one attempt."""
        logged, attempts = "", 0
        while not await self._attempt():
            attempts += 1
            if self._obstacle != logged:
                logged = self._obstacle
                logger.warning("%s", self.describe())
            await self._clocks.sleep(self._seconds / 10)
        logger.info("Lease %s is held by %s", self._key, self._identity)
        return attempts > 0

    async def keep(self) -> None:
        """Renew it until cancelled, and go on trying where that fails; raise LeaseLostError once another has had it."""
        term, pause, is_logged = self._term(), self._seconds / 3, False
        while True:
            await self._clocks.sleep(pause)
            pause = self._seconds / (3 if await self._attempt() else 10)
            if self._stored is not None and self._term() != term:
                raise LeaseLostError(
                    f"Lease {self._key} was lost: {self._obstacle}; the operator ends, and waits for it when it is "
                    "started again"
                )
            if self.is_held is is_logged:
                is_logged = not self.is_held
                logger.warning("%s", self.describe() if is_logged else f"Lease {self._key} is held again")

    def _term(self) -> tuple[str, int | None]:
        """Return who holds it, and for the how manieth time it has changed hands."""
        spec = object_at(self._stored, "spec")
        return text_at(spec, "holderIdentity"), integer_at(spec, "leaseTransitions")

    async def release(self) -> None:
        """Give it back, so that the next operator need not wait for its end; to be called when nothing writes."""
        if not self.is_held or self._stored is None:
            return
        self._held_until = 0.0
        spec = {**object_at(self._stored, "spec"), "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._client.replace_lease({**self._stored, "spec": spec})
        except ApiError as error:
            logger.warning("Lease %s is not given back, the next operator waits for its end: %s", self._key, error)

    async def _attempt(self) -> bool:
        """Take or renew it; tell whether it is held then."""
        asked_at = self._clocks.monotonic()
        try:
            async with asyncio.timeout(self._seconds / 6):
                is_taken = await self._take()
        except TimeoutError:
            self._obstacle = "the API server does not answer in time"
        except ApiError as error:
            self._obstacle = f"{error}; check that the operator may get, create and update leases in that namespace"
        else:
            self._held_until = asked_at + self._seconds * 2 / 3 if is_taken else 0.0
            return is_taken
        return False

    async def _take(self) -> bool:
        """Write it where it is free; where it was changed or deleted meanwhile, look at it once more."""
        try:
            return await self._write()
        except (ConflictError, NotFoundError):
            self._stored = None
            return await self._write()

    async def _write(self) -> bool:
        if not self.is_held or self._stored is None:
            await self._look()
        if self._stored is None:
            self._stored = await self._client.create_lease(self._key, self._spec({}))
            return True
        spec = object_at(self._stored, "spec")
        if not self._is_free(spec):
            self._obstacle = f"{text_at(spec, 'holderIdentity')} holds it"
            return False
        self._stored = await self._client.replace_lease({**self._stored, "spec": self._spec(spec)})
        return True

    async def _look(self) -> None:
        """Read it, and note when it was last seen to change."""
        lease = await self._client.read_lease(self._key)
        if _version(lease) != _version(self._stored):
            self._unchanged_since = self._clocks.monotonic()
        self._stored = lease

    def _is_free(self, spec: JsonObject) -> bool:
        """Tell whether nobody else holds it, or its holder has not renewed it for its duration."""
        if text_at(spec, "holderIdentity") in {"", self._identity}:
            return True
        seconds = integer_at(spec, "leaseDurationSeconds") or self._seconds
        return self._clocks.monotonic() >= self._unchanged_since + seconds

    def _spec(self, before: JsonObject) -> JsonObject:
        now = self._clocks.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        is_renewed = text_at(before, "holderIdentity") == self._identity
        transitions = integer_at(before, "leaseTransitions") or 0
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._seconds),
            "acquireTime": text_at(before, "acquireTime") if is_renewed else now,
            "renewTime": now,
            "leaseTransitions": transitions if is_renewed else transitions + 1,
        }


def _version(lease: JsonObject | None) -> str:
    return text_at(lease, "metadata", "resourceVersion")
