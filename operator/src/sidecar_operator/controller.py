"""The two loops of the operator: passes over the resources that were woken, and the resync of everything.

`__main__` starts them beside kopf. Passes run side by side, up to a limit, and each has a deadline; whatever goes wrong
in one is logged, counted and tried again. The resync lists everything from time to time, so that a watch that went
silent delays nothing for longer than that. `check_health` is what the liveness probe asks.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from sidecar_operator import kube_objects
from sidecar_operator.cache import CHILD_KINDS, Store
from sidecar_operator.kube_client import ApiError, Listing
from sidecar_operator.kube_objects import Key
from sidecar_operator.metrics import ReconcileMetrics
from sidecar_operator.workqueue import Clock, WorkQueue

logger = logging.getLogger(__name__)

PASS_SECONDS = 120.0
"""Deadline of one pass."""
SECOND_RESYNC_SECONDS = 10.0
"""Delay of the second resync after the start."""
RESYNC_RETRY_SECONDS = 5.0
"""Delay after a resync that failed."""
MISSED_RESYNCS = 3
"""Resyncs that may fail in a row before the process is no longer healthy."""

Reconcile = Callable[[Key], Awaitable[float | None]]


class Lister(Protocol):
    """What a resync needs of the API."""

    async def everything(self, kind: str) -> list[Listing]:
        """List a kind in all served namespaces."""


class UnhealthyError(Exception):
    """The operator does no work any more; only a restart can help."""


class Controller:
    """Runs passes and resyncs until it is cancelled."""

    def __init__(
        self,
        reconcile: Reconcile,
        cluster: Lister,
        store: Store,
        queue: WorkQueue,
        metrics: ReconcileMetrics,
        *,
        workers: int,
        resync_seconds: float,
        clock: Clock,
    ) -> None:
        self._reconcile = reconcile
        self._cluster = cluster
        self._store = store
        self._queue = queue
        self._metrics = metrics
        self._free = asyncio.Semaphore(workers)
        self._resync_seconds = resync_seconds
        self._clock = clock
        self._last_resync = clock()
        self._passes: dict[Key, float] = {}

    async def run_passes(self) -> None:
        """Make a pass over each resource that is woken, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._free.acquire()
                key = await self._queue.get()
                self._passes[key] = self._clock()
                group.create_task(self._pass(key))

    async def run_resyncs(self) -> None:
        """Look at everything again and again, until cancelled; the first time was `resync` at the start.

        The second time is soon after it: what was deleted between that list and the first watch is nobody's event.
        """
        delay = min(SECOND_RESYNC_SECONDS, self._resync_seconds)
        while True:
            await asyncio.sleep(delay)
            try:
                await self.resync()
                delay = self._resync_seconds
            except ApiError as error:
                logger.warning("resync failed, tried again in %.0f s: %s", RESYNC_RETRY_SECONDS, error)
                delay = RESYNC_RETRY_SECONDS

    async def resync(self) -> None:
        """List everything, and ask for a pass over each resource."""
        for kind in CHILD_KINDS:
            for listing in await self._cluster.everything(kind):
                self._store.children[kind].replace(*listing)
        for listing in await self._cluster.everything(kube_objects.KIND):
            self._store.evaluations.replace(*listing)
        self._store.trainings.clear()
        for evaluation in self._store.evaluations:
            self._queue.add(kube_objects.key_of(evaluation))
        self._last_resync = self._clock()

    def check_health(self) -> dict[str, float]:
        """Return the ages of the last resync and of the oldest pass in seconds; raise UnhealthyError if too old."""
        now = self._clock()
        resync = now - self._last_resync
        oldest = max((now - started for started in self._passes.values()), default=0.0)
        if resync > MISSED_RESYNCS * self._resync_seconds + PASS_SECONDS:
            raise UnhealthyError(f"the last resync was {resync:.0f} s ago")
        if oldest > 2 * PASS_SECONDS:
            raise UnhealthyError(f"a pass has been running for {oldest:.0f} s")
        return {"resync_age_seconds": round(resync, 1), "oldest_pass_seconds": round(oldest, 1)}

    async def _pass(self, key: Key) -> None:
        started = self._passes[key]
        try:
            async with asyncio.timeout(PASS_SECONDS):
                again = await self._reconcile(key)
        except Exception as error:
            self._metrics.failed(self._clock() - started)
            _log_failure(key, error, self._queue.failed(key))
        else:
            self._metrics.passed(self._clock() - started)
            self._queue.done(key)
            if again is not None:
                self._queue.add_after(key, again)
        finally:
            del self._passes[key]
            self._free.release()


def _log_failure(key: Key, error: Exception, delay: float) -> None:
    expected = isinstance(error, ApiError | TimeoutError)
    cause = None if expected else error
    logger.warning("%s: pass failed, tried again in %.1f s: %r", key, delay, error, exc_info=cause)
