import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from sidecar_operator import names
from sidecar_operator.cache import Cache
from sidecar_operator.controller import PASS_SECONDS, Controller, UnhealthyError
from sidecar_operator.kube_client import UnavailableError
from sidecar_operator.kube_objects import Key, Page
from sidecar_operator.metrics import ReconcileMetrics
from sidecar_operator.workqueue import WorkQueue
from support.waiting import DEADLINE
from unit.operator.support.samples import KEY, evaluation, job

RESYNC_SECONDS = 300.0


@dataclass
class Bench:
    """A controller with a clock that stands still, and passes that wait, end and fail as a test asks."""

    now: float = 0.0
    failing: set[Key] = field(default_factory=set)
    failing_lists: int = 0
    retry_after: float = 0.0
    passes: list[Key] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.queue = WorkQueue(lambda: self.now)
        self.cache = Cache()
        self.registry = CollectorRegistry()
        self.controller = Controller(
            self.reconcile,
            self,
            self.cache,
            self.queue,
            ReconcileMetrics(self.registry, lambda: len(self.queue)),
            workers=2,
            resync_seconds=RESYNC_SECONDS,
            clock=lambda: self.now,
        )

    async def reconcile(self, key: Key, failures: int) -> float | None:
        self.failures.append(failures)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await self.gate.wait()
        self.running -= 1
        self.passes.append(key)
        if key in self.failing:
            raise UnavailableError(503, "not now", self.retry_after)
        return 7.0

    async def list_pages(self, kind: str) -> AsyncIterator[Page]:
        if self.failing_lists:
            self.failing_lists -= 1
            raise UnavailableError(503, "not now")
        objects = {names.KIND: [evaluation()], "Job": [job(evaluation())]}
        yield Page(objects.get(kind, []), 10**6)

    async def until_passed(self, count: int) -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
            if len(self.passes) >= count and not self.running:
                break
        assert len(self.passes) == count
        await asyncio.sleep(0)

    @contextmanager
    def started(self) -> Iterator[None]:
        task = asyncio.create_task(self.controller.run_passes())
        yield
        task.cancel()


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_passes_run_concurrently_up_to_the_limit(bench: Bench) -> None:
    for number in range(5):
        bench.queue.add(Key("team", f"e{number}"))
    with bench.started():
        for _ in range(10):
            await asyncio.sleep(0)
        bench.gate.set()
        await bench.until_passed(5)
    assert bench.most_running == 2


async def test_a_pass_may_ask_for_another_later(bench: Bench) -> None:
    bench.gate.set()
    bench.queue.add(KEY)
    with bench.started():
        await bench.until_passed(1)
    assert bench.queue.seconds_until_due() == 7.0


async def test_a_failed_pass_is_counted_and_tried_again(bench: Bench) -> None:
    bench.gate.set()
    bench.failing.add(KEY)
    bench.queue.add(KEY)
    bench.queue.add(Key("team", "other"))
    with bench.started():
        await bench.until_passed(2)
        assert bench.queue.seconds_until_due() == 0.5
    assert bench.registry.get_sample_value("sidecareval_operator_reconcile_errors_total") == 1
    assert bench.registry.get_sample_value("sidecareval_operator_reconcile_total") == 2


async def test_a_pass_is_not_tried_again_before_the_api_server_wants_it(bench: Bench) -> None:
    bench.gate.set()
    bench.failing.add(KEY)
    bench.retry_after = 90.0
    bench.queue.add(KEY)
    with bench.started():
        await bench.until_passed(1)
    assert bench.queue.seconds_until_due() == 90.0


async def test_a_pass_is_told_how_many_have_failed_before_it(bench: Bench) -> None:
    bench.gate.set()
    bench.failing.add(KEY)
    with bench.started():
        for count in range(1, 4):
            bench.queue.add(KEY)
            await bench.until_passed(count)
        bench.failing.clear()
        for count in range(4, 6):
            bench.queue.add(KEY)
            await bench.until_passed(count)
    assert bench.failures == [0, 1, 2, 3, 0]


async def test_a_resync_fills_the_cache_and_wakes_everything(bench: Bench) -> None:
    await bench.controller.resync()
    assert bench.queue.take() == KEY
    assert bench.cache.evaluations.get(KEY)
    assert len(bench.cache.children["Job"].of(KEY)) == 1


async def test_a_resync_goes_back_with_a_database_that_was_restored(bench: Bench) -> None:
    newer = evaluation()
    newer["metadata"] |= {"resourceVersion": str(10**7), "uid": "uid-lost"}
    bench.cache.evaluations.put(newer)
    await bench.controller.resync()
    assert [stored.uid for stored in bench.cache.evaluations] == ["uid-mnist"]


async def test_a_failed_resync_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECOND_RESYNC_SECONDS", "RESYNC_RETRY_SECONDS"):
        monkeypatch.setattr(f"sidecar_operator.controller.{name}", 0)
    bench.failing_lists = 2
    resyncs = asyncio.create_task(bench.controller.run_resyncs())
    assert await asyncio.wait_for(bench.queue.get(), DEADLINE) == KEY
    assert bench.failing_lists == 0
    resyncs.cancel()


async def test_health(bench: Bench) -> None:
    bench.now = 3 * RESYNC_SECONDS
    assert bench.controller.check_health()["resync_age_seconds"] == 3 * RESYNC_SECONDS
    bench.now += PASS_SECONDS + 1
    with pytest.raises(UnhealthyError, match="resync"):
        bench.controller.check_health()
    await bench.controller.resync()
    bench.controller.check_health()


async def test_a_pass_that_hangs_is_unhealthy(bench: Bench) -> None:
    bench.queue.add(KEY)
    with bench.started():
        for _ in range(10):
            await asyncio.sleep(0)
        bench.now = 2 * PASS_SECONDS + 1
        with pytest.raises(UnhealthyError, match="pass"):
            bench.controller.check_health()
