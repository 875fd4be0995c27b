import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from sidecar_operator.kube_client import ApiError, ConflictError, NotFoundError, RefusedError, UnavailableError
from sidecar_operator.kube_objects import JsonObject, Key
from sidecar_operator.lease import Clocks, Lease, LeaseLostError

KEY = Key("sidecar-system", "sidecar-operator")
SECONDS = 30.0


@dataclass
class Store:
    """A Lease at an API server, as both operators of a test see it."""

    lease: JsonObject | None = None
    version: int = 0
    failing: ApiError | None = None
    writes: int = 0

    async def read_lease(self, key: Key) -> JsonObject | None:
        self._answer()
        return self.lease

    async def create_lease(self, key: Key, spec: JsonObject) -> JsonObject:
        self._answer()
        if self.lease is not None:
            raise ConflictError(409, "already exists")
        return self._store({"metadata": {"namespace": key.namespace, "name": key.name}, "spec": spec})

    async def replace_lease(self, lease: JsonObject) -> JsonObject:
        self._answer()
        if self.lease is None:
            raise NotFoundError(404, "not found")
        if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ConflictError(409, "the object has been modified")
        return self._store(lease)

    def _answer(self) -> None:
        if self.failing:
            raise self.failing

    def _store(self, lease: JsonObject) -> JsonObject:
        self.version += 1
        self.writes += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    @property
    def spec(self) -> JsonObject:
        assert self.lease is not None
        spec: JsonObject = self.lease["spec"]
        return spec


@dataclass
class Time:
    """A clock that moves only while somebody pauses, and what happens in those pauses."""

    now: float = 1000.0
    pauses: int = 0
    happenings: dict[int, Callable[[], object]] = field(default_factory=dict)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds
        self.pauses += 1
        self.happenings.get(self.pauses, lambda: None)()
        if self.pauses > 200:
            raise AssertionError("it goes on for ever")

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.now, lambda: datetime.fromtimestamp(self.now, UTC), self.sleep)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def time() -> Time:
    return Time()


def operator(store: Store, time: Time, identity: str = "a") -> Lease:
    return Lease(store, KEY, identity, SECONDS, time.clocks())


async def until_held(lease: Lease, *, held: bool) -> None:
    for _ in range(1000):
        if lease.is_held is held:
            return
        await asyncio.sleep(0)
    raise AssertionError(lease.describe())


async def test_nobody_holds_it_so_it_is_taken_at_once(store: Store, time: Time) -> None:
    lease = operator(store, time)
    assert not lease.is_held
    assert not await lease.acquire()
    assert (lease.is_held, lease.describe(), time.pauses) == (True, "held", 0)
    assert store.spec == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 30,
        "acquireTime": "1970-01-01T00:16:40.000000Z",
        "renewTime": "1970-01-01T00:16:40.000000Z",
        "leaseTransitions": 1,
    }


async def test_a_second_operator_waits_and_says_for_whom(store: Store, time: Time) -> None:
    first, second = operator(store, time, "a"), operator(store, time, "b")
    await first.acquire()
    time.happenings[5] = lambda: asyncio.get_running_loop().create_task(first.release())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(0)
    assert not second.is_held
    assert "a holds it" in second.describe()
    assert "nothing is written" in second.describe()
    assert await waiting
    assert (second.is_held, first.is_held, store.spec["holderIdentity"]) == (True, False, "b")


async def test_a_holder_that_renews_is_never_replaced(store: Store, time: Time) -> None:
    first, second = operator(store, time, "a"), operator(store, time, "b")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    waiting = asyncio.create_task(second.acquire())
    for _ in range(100):
        await asyncio.sleep(0)
        assert not second.is_held
        assert first.is_held
    keeping.cancel()
    waiting.cancel()


async def test_a_holder_that_vanished_is_replaced_after_the_duration_and_not_before(store: Store, time: Time) -> None:
    await operator(store, time, "a").acquire()
    second, started = operator(store, time, "b"), time.now
    await second.acquire()
    assert started + SECONDS <= time.now <= started + SECONDS * 1.1
    assert store.spec["leaseTransitions"] == 2


async def test_a_clock_that_is_wrong_does_not_make_a_lease_expire(store: Store, time: Time) -> None:
    await operator(store, time, "a").acquire()
    time.now += 10 * SECONDS  # to the second operator, the last renewal looks long past
    second = operator(store, time, "b")
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(0)
    assert not second.is_held
    waiting.cancel()


async def test_the_same_pod_started_again_goes_on_at_once(store: Store, time: Time) -> None:
    await operator(store, time, "a").acquire()
    assert not await operator(store, time, "a").acquire()
    assert store.spec["leaseTransitions"] == 1


async def test_a_holder_that_cannot_renew_stops_to_write_in_time_and_goes_on_when_it_can(
    store: Store, time: Time
) -> None:
    lease = operator(store, time)
    await lease.acquire()
    store.failing = UnavailableError(0, "no route to host")
    acquired = time.now
    keeping = asyncio.create_task(lease.keep())
    await until_held(lease, held=False)
    assert time.now <= acquired + SECONDS * 0.8
    assert "no route to host" in lease.describe()
    store.failing = None
    await until_held(lease, held=True)
    assert lease.describe() == "held"
    assert store.spec["leaseTransitions"] == 1
    keeping.cancel()


async def test_a_holder_that_finds_another_after_an_outage_ends(store: Store, time: Time) -> None:
    lease = operator(store, time)
    await lease.acquire()
    store.failing = UnavailableError(0, "no route to host")
    keeping = asyncio.create_task(lease.keep())
    await until_held(lease, held=False)
    store.failing = None
    released = {**store.spec, "holderIdentity": "", "leaseTransitions": 2}  # by another, which has ended since
    store._store({**(store.lease or {}), "spec": released})
    with pytest.raises(LeaseLostError, match="was lost"):
        await keeping


async def test_a_process_that_was_paused_does_not_write_afterwards(store: Store, time: Time) -> None:
    lease = operator(store, time)
    await lease.acquire()
    time.now += SECONDS
    assert not lease.is_held


async def test_a_short_outage_costs_nothing(store: Store, time: Time) -> None:
    lease = operator(store, time)
    await lease.acquire()

    def fail() -> None:
        store.failing = UnavailableError(503, "leader changed")

    def heal() -> None:
        store.failing = None

    time.happenings |= {1: fail, 3: heal}
    keeping = asyncio.create_task(lease.keep())
    for _ in range(20):
        await asyncio.sleep(0)
    assert lease.is_held
    keeping.cancel()


async def test_another_holder_ends_it_at_once(store: Store, time: Time) -> None:
    lease = operator(store, time)
    await lease.acquire()
    store._store({**(store.lease or {}), "spec": {**store.spec, "holderIdentity": "b"}})
    with pytest.raises(LeaseLostError, match="b holds it"):
        await lease.keep()
    assert time.pauses <= 2
    writes = store.writes
    await lease.release()
    assert store.writes == writes


async def test_a_deleted_lease_is_made_again(store: Store, time: Time) -> None:
    lease = operator(store, time)
    await lease.acquire()
    store.lease = None
    keeping = asyncio.create_task(lease.keep())
    time.happenings[2] = keeping.cancel
    await asyncio.gather(keeping, return_exceptions=True)
    assert store.spec["holderIdentity"] == "a"


async def test_missing_rights_are_said(store: Store, time: Time) -> None:
    lease = operator(store, time)
    store.failing = RefusedError(403, "leases is forbidden")
    waiting = asyncio.create_task(lease.acquire())
    await asyncio.sleep(0)
    assert "leases is forbidden; check that the operator may get, create and update leases" in lease.describe()
    waiting.cancel()


@pytest.mark.parametrize("spec", [{}, {"holderIdentity": ""}, {"leaseDurationSeconds": "long"}])
async def test_a_lease_that_nobody_holds_is_taken(store: Store, time: Time, spec: JsonObject) -> None:
    await store.create_lease(KEY, spec)
    assert not await operator(store, time).acquire()
