"""After an upgrade with another default image: which evaluators get the new one now, a few at a time.

`__main__` runs it beside the passes, `reconcile` asks whether a Job's turn has come. Whose turn it is follows from the
cluster alone: resources whose `status.run` says that they were rolled over, and that are not Ready again, hold the
others up. What is kept here is read from the cache again after a restart. A Job whose end is not recorded yet is left
alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sidecar_operator import names
from sidecar_operator.cache import Cache
from sidecar_operator.conditions import Type
from sidecar_operator.kube_objects import Job, Key

INTERVAL_SECONDS = 10.0
"""Time between two looks while evaluators of another default image run."""
IDLE_SECONDS = 3600.0
"""Time between two searches for such evaluators."""
KEYS_AT_A_TIME = 20
"""Resources that a search looks at before it lets others work."""
LONGEST_START = timedelta(minutes=10)
"""After this time an evaluator that is not Ready holds the others up no longer."""


class Rollover:
    """Decides whose turn it is."""

    def __init__(
        self, cache: Cache, default_image: str, limit: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._cache = cache
        self._default_image = default_image
        self._limit = limit
        self._now = now
        self._waiting: deque[Key] = deque()
        self._starting: set[Key] = set()
        self._due: frozenset[Key] = frozenset()

    async def run(self, wake: Callable[[Key], None]) -> None:
        """Look again and again, and wake those whose turn has come, until cancelled."""
        while True:
            await self.search()
            while self._waiting:
                for key in self.look():
                    wake(key)
                await asyncio.sleep(INTERVAL_SECONDS)
            await asyncio.sleep(IDLE_SECONDS)

    async def search(self) -> None:
        """Find the evaluators that are outdated, and those that were rolled over and are starting."""
        keys = sorted(self._cache.evaluations.all_keys()) if self._limit else []
        self._waiting.clear()
        for number, key in enumerate(keys):
            if number % KEYS_AT_A_TIME == 0:
                await asyncio.sleep(0)
            if self._is_waiting(key):
                self._waiting.append(key)
            elif self._is_starting(key):
                self._starting.add(key)

    def look(self) -> frozenset[Key]:
        """Choose those whose turn has come, in the order of their names."""
        self._starting = {key for key in self._starting | self._due if self._is_waiting(key) or self._is_starting(key)}
        due = {key for key in self._starting if self._is_waiting(key)}
        while self._waiting and len(self._starting) < self._limit:
            key = self._waiting.popleft()
            if self._is_waiting(key):
                due.add(key)
                self._starting.add(key)
        self._due = frozenset(due)
        return self._due

    def is_due(self, job: Job) -> bool:
        """Tell whether the evaluator of this Job is to get the new image now."""
        return job.owner_key in self._due and self._is_outdated(job)

    def _is_waiting(self, key: Key) -> bool:
        evaluation = self._cache.evaluations.get(key)
        attempt = (evaluation.run.attempt or 0) if evaluation else None
        return any(job.attempt == attempt and self._is_outdated(job) for job in self._cache.jobs.of(key))

    def _is_outdated(self, job: Job) -> bool:
        """Tell whether a Job works with another default image than this operator's, and has not ended."""
        image = job.annotation(names.DEFAULT_IMAGE_ANNOTATION)
        if not image or image == self._default_image or job.has_ended or job.is_being_deleted:
            return False
        pods = (pod for pod in self._cache.pods.of(job.owner_key) if pod.is_owned_by(job))
        return not any(pod.evaluator_end and pod.evaluator_end.exit_code == 0 for pod in pods)

    def _is_starting(self, key: Key) -> bool:
        """Tell whether an evaluator was rolled over a short time ago and is not Ready yet."""
        evaluation = self._cache.evaluations.get(key)
        if evaluation is None or not evaluation.run.rolled_over or evaluation.is_suspended:
            return False
        starts_at = evaluation.run.starts_at
        is_recent = starts_at is not None and self._now() - starts_at < LONGEST_START
        return is_recent and not evaluation.has_true(Type.READY) and not evaluation.has_true(Type.FINISHED)
