"""The two loops of the operator: passes over the resources that were woken, and the periodic resync of everything.

`__main__` starts them beside kopf. Passes run concurrently, up to a limit, and each has a deadline; one that fails is
logged, counted and tried again. The resync lists everything from time to time, so that a watch that stopped without an
error delays nothing for longer than that. The liveness probe calls `check_health`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from sidecar_operator import names
from sidecar_operator.cache import Cache, KindCache
from sidecar_operator.kube_client import ApiError
from sidecar_operator.kube_objects import Key, Page
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
"""Intervals without a successful resync after which the process is unhealthy."""

Reconcile = Callable[[Key, int], Awaitable[float | None]]
"""Makes a pass; the number is that of the passes that have failed just before."""


class ListClient(Protocol):
    """The request that a resync needs; `kube_client.KubeClient` has it."""

    def list_pages(self, kind: str) -> AsyncIterator[Page]:
        """List a kind in all served namespaces."""


class UnhealthyError(Exception):
    """The operator makes no progress any more; only a restart of the process can help."""


class Controller:
    """Runs passes and resyncs until it is cancelled."""

    def __init__(
        self,
        reconcile: Reconcile,
        client: ListClient,
        cache: Cache,
        queue: WorkQueue,
        metrics: ReconcileMetrics,
        *,
        workers: int,
        resync_seconds: float,
        clock: Clock,
    ) -> None:
        self._reconcile = reconcile
        self._client = client
        self._cache = cache
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
        """Resync at intervals, until cancelled; the first resync was made at the start.

        The second one follows soon: a deletion between the first list and the start of the watch gives no watch event.
        """
        delay = min(SECOND_RESYNC_SECONDS, self._resync_seconds)
        while True:
            await asyncio.sleep(delay)
            try:
                await self.resync()
                delay = self._resync_seconds
            except ApiError as error:
                delay = max(RESYNC_RETRY_SECONDS, error.retry_after)
                logger.warning("resync: a list failed, tried again in %.0f s: %s", delay, error)

    async def resync(self) -> None:
        """List everything, and ask for a pass over each resource."""
        kinds: dict[str, KindCache[Any]] = {**self._cache.children, names.KIND: self._cache.evaluations}
        for kind, cache in kinds.items():
            cache.begin_list()
            async for page in self._client.list_pages(kind):
                cache.take_page(page)
        self._cache.forget_unfollowed_trainings()
        for key in self._cache.evaluations.all_keys():
            self._queue.add(key)
        self._last_resync = self._clock()

    def check_health(self) -> dict[str, float]:
        """Return the ages of the last resync and of the oldest pass in seconds; raise UnhealthyError if too old."""
        now = self._clock()
        resync_age, longest_age = now - self._last_resync, MISSED_RESYNCS * self._resync_seconds + PASS_SECONDS
        oldest_pass = max((now - started for started in self._passes.values()), default=0.0)
        if resync_age > longest_age:
            raise UnhealthyError(
                f"the last resync succeeded {resync_age:.0f} s ago, the limit is {longest_age:.0f} s: "
                "see the log for lists that failed"
            )
        if oldest_pass > 2 * PASS_SECONDS:
            raise UnhealthyError(
                f"a pass has been running for {oldest_pass:.0f} s, its deadline is {PASS_SECONDS:.0f} s: "
                "the process needs a restart"
            )
        return {"resync_age_seconds": round(resync_age, 1), "oldest_pass_seconds": round(oldest_pass, 1)}

    async def _pass(self, key: Key) -> None:
        started = self._passes[key]
        try:
            async with asyncio.timeout(PASS_SECONDS):
                delay = await self._reconcile(key, self._queue.failures(key))
        except Exception as error:
            self._metrics.failed(self._clock() - started)
            _log_failure(key, error, self._queue.failed(key, seconds_to_wait(error)))
        else:
            self._metrics.passed(self._clock() - started)
            self._queue.done(key)
            if delay is not None:
                self._queue.add_after(key, delay)
        finally:
            del self._passes[key]
            self._free.release()


def seconds_to_wait(error: Exception) -> float:
    """Return how long the API server asks to wait after this error, 0 where it does not."""
    return error.retry_after if isinstance(error, ApiError) else 0.0


def _log_failure(key: Key, error: Exception, delay: float) -> None:
    traceback = None if isinstance(error, ApiError | TimeoutError) else error
    logger.warning("%s: pass failed, tried again in %.1f s: %r", key, delay, error, exc_info=traceback)
