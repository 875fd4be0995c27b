"""Watches of the trainings that resources follow: one for each kind, started when the first resource follows it.

`following` asks for a watch, `__main__` runs them all. These kinds belong to others: one that does not exist, breaks,
changes its version or comes back is tried again, touches no other kind, and ends nothing. While a kind is not watched,
its trainings are read one by one. Nothing is decided here: what has changed goes into the cache and wakes followers.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from sidecar_operator.api_paths import ServedKind
from sidecar_operator.cache import Cache, WatchScope
from sidecar_operator.kube_client import ApiError, ExpiredError, NotFoundError, UnavailableError
from sidecar_operator.kube_objects import JsonObject, Key, KubeObject, Page, integer_at, object_at, text_at
from sidecar_operator.resource_view import TrainingRef

logger = logging.getLogger(__name__)

TOLERATED_FAILURES = 1
"""Failures in a row, such as a restart of the API server, after which what was last seen still counts."""
FIRST_DELAY = 1.0
LONGEST_DELAY = 30.0
"""Seconds before a watch that failed is tried again: the first time, and at most."""


class WatchClient(Protocol):
    """The requests that a watch needs; `kube_client.KubeClient` has them."""

    async def served_kind(self, api_version: str, kind: str) -> ServedKind | None:
        """Find out under which version and plural the cluster serves a kind now."""

    def list_trainings(self, kind: ServedKind, namespace: str | None) -> AsyncGenerator[Page, None]:
        """List all trainings of a kind, page by page."""

    async def version_of_list(self, kind: ServedKind, namespace: str | None) -> int:
        """Return the version at which a list would be made now."""

    def watch(self, kind: ServedKind, namespace: str | None, version: str) -> AsyncGenerator[JsonObject, None]:
        """Yield the events of a kind after a version, until the server ends the watch."""


class TrainingWatches:
    """Runs the watches that are asked for, each until nothing follows its kind any more."""

    def __init__(
        self,
        client: WatchClient,
        cache: Cache,
        wake: Callable[[Key], None],
        namespaces: Sequence[str] = (),
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._cache = cache
        self._wake = wake
        self._namespaces = tuple(namespaces)
        self._pause = pause
        self._scopes: set[WatchScope] = set()
        self._requests: asyncio.Queue[WatchScope] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, ref: TrainingRef) -> None:
        """Ask for a watch of this training's kind."""
        scope = WatchScope(ref.api_version, ref.kind, ref.namespace if self._namespaces else None)
        if scope not in self._scopes:
            self._scopes.add(scope)
            self._requests.put_nowait(scope)

    async def run(self) -> None:
        """Start the watches that are asked for, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                task = group.create_task(self._keep_watching(await self._requests.get()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """End all watches, before the process waits for its tasks."""
        for task in self._tasks:
            task.cancel()

    async def _keep_watching(self, scope: WatchScope) -> None:
        watch = TrainingWatch(scope, self._client, self._cache, self._wake)
        while self._cache.refs_in(scope):
            await self._pause(await watch.turn())
        self._cache.trainings.end_watch(scope)
        self._scopes.discard(scope)


class TrainingWatch:
    """The watch of one kind, in all namespaces or in one."""

    def __init__(self, scope: WatchScope, client: WatchClient, cache: Cache, wake: Callable[[Key], None]) -> None:
        self._scope = scope
        self._client = client
        self._cache = cache
        self._wake = wake
        self._kind: ServedKind | None = None
        """None until the kind is listed, and once more after it was lost."""
        self._version = ""
        self._failures = 0
        self._last_error = ""

    async def turn(self) -> float:
        """List where that is needed, and watch until the watch ends or fails; return the seconds to wait afterwards."""
        asked_to_wait = 0.0
        try:
            kind = await self._resumed() or await self._list()
            await self._watch(kind)
        except ExpiredError:
            self._kind = None
        except Exception as error:  # whatever another project's kind answers, it must not end the operator
            self._fail(error)
            asked_to_wait = error.retry_after if isinstance(error, ApiError) else 0.0
        return max(asked_to_wait, min(FIRST_DELAY * 2.0 ** min(self._failures, 10), LONGEST_DELAY))

    async def _resumed(self) -> ServedKind | None:
        """Return the kind where its watch may go on; None where it is to be listed, as after a backup was restored."""
        if self._kind is None or not self._version.isdecimal():
            return None
        version = await self._client.version_of_list(self._kind, self._scope.namespace)
        return self._kind if version >= int(self._version) else None

    async def _list(self) -> ServedKind:
        kind = await self._client.served_kind(self._scope.api_version, self._scope.kind)
        if kind is None:
            raise NotFoundError(404, "the cluster does not serve this kind")
        self._cache.trainings.begin_watch(self._scope)
        async with aclosing(self._client.list_trainings(kind, self._scope.namespace)) as pages:
            async for page in pages:
                self._take_page(page)
        self._kind = kind
        self._wake_followers()
        return kind

    def _take_page(self, page: Page) -> None:
        for raw in page.objects:
            if self._cache.followers(ref := self._ref(raw)):
                self._cache.trainings.put_watched(ref, raw)
        self._version = str(page.version)

    async def _watch(self, kind: ServedKind) -> None:
        events = self._client.watch(kind, self._scope.namespace, self._version)
        async with aclosing(events) as stream:
            async for event in stream:
                self._take(text_at(event, "type"), object_at(event, "object"))
                self._failures, self._last_error = 0, ""
        self._failures, self._last_error = 0, ""

    def _take(self, event_type: str, raw: JsonObject) -> None:
        if event_type == "ERROR":
            raise _watch_error(raw)
        self._version = text_at(raw, "metadata", "resourceVersion") or self._version
        if event_type == "BOOKMARK":
            return
        ref = self._ref(raw)
        followers = self._cache.followers(ref)
        if followers:
            self._cache.trainings.put_watched(ref, None if event_type == "DELETED" else raw)
        else:
            self._cache.trainings.forget(ref)
        for key in followers:
            self._wake(key)

    def _fail(self, error: Exception) -> None:
        """Count a failure; after too many in a row, nothing that was seen counts any more."""
        self._failures += 1
        if self._kind is not None and self._failures <= TOLERATED_FAILURES:
            return
        self._cache.trainings.end_watch(self._scope)
        if self._kind is not None:
            self._kind = None
            self._wake_followers()
        if str(error) != self._last_error:
            self._last_error = str(error)
            traceback = None if isinstance(error, ApiError) else error
            logger.warning(
                "kind %s of %s cannot be watched, its trainings are read one by one until it can: %s",
                self._scope.kind,
                self._scope.api_version,
                error,
                exc_info=traceback,
            )

    def _wake_followers(self) -> None:
        for ref in self._cache.refs_in(self._scope):
            for key in self._cache.followers(ref):
                self._wake(key)

    def _ref(self, raw: JsonObject) -> TrainingRef:
        """Return what a trainingRef to the object says, whatever version the cluster serves it in."""
        return TrainingRef(self._scope.api_version, self._scope.kind, *KubeObject(raw).key)


def _watch_error(status: JsonObject) -> ApiError:
    code, message = integer_at(status, "code") or 0, text_at(status, "message")
    return (ExpiredError if code == 410 else UnavailableError)(code, message)
