import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from sidecar_operator.api_paths import ServedKind
from sidecar_operator.cache import Cache, WatchScope
from sidecar_operator.kube_client import ExpiredError, UnavailableError
from sidecar_operator.kube_objects import JsonObject, Key, Page
from sidecar_operator.training_watch import LONGEST_DELAY, TrainingWatch, TrainingWatches
from support.waiting import DEADLINE
from unit.operator.support.samples import KEY, TRAINING_REF, evaluation, training
from unit.operator.support.world import TRAINING_SCOPE

FOLLOWING = {"trainingRef": {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "train"}}
BROKEN = UnavailableError(500, "conversion webhook: connection refused")

SERVED = ServedKind("kubeflow.org/v1", "tfjobs")
Answer = list[JsonObject] | Exception


@dataclass
class Bench:
    """One kind, the answers that the API server gives about it in turn, and what the watch asks and wakes."""

    lists: list[Answer] = field(default_factory=list)
    watches: list[Answer] = field(default_factory=list)
    served: ServedKind | None = SERVED
    version: int = 1000
    """The version of the API server's database."""
    asked: list[str] = field(default_factory=list)
    woken: list[Key] = field(default_factory=list)
    cache: Cache = field(default_factory=Cache)

    def __post_init__(self) -> None:
        self.cache.evaluations.put(evaluation(FOLLOWING))
        self.watch_of_kind = TrainingWatch(TRAINING_SCOPE, self, self.cache, self.woken.append)

    async def served_kind(self, api_version: str, kind: str) -> ServedKind | None:
        return self.served

    async def list_trainings(self, kind: ServedKind, namespace: str | None) -> AsyncGenerator[Page, None]:
        self.asked.append("list")
        for raw in _answer(self.lists):
            yield Page([raw], 100, namespace)

    async def version_of_list(self, kind: ServedKind, namespace: str | None) -> int:
        return self.version

    async def watch(self, kind: ServedKind, namespace: str | None, version: str) -> AsyncGenerator[JsonObject, None]:
        self.asked.append(f"watch after {version}")
        for event in _answer(self.watches):
            yield event

    async def turn(self) -> float:
        return await self.watch_of_kind.turn()

    @property
    def is_watched(self) -> bool:
        return self.cache.trainings.is_watched(TRAINING_REF)

    @property
    def state(self) -> str:
        """What the cache has of the training: `absent`, or its first condition."""
        stored = self.cache.trainings.get(TRAINING_REF)
        return stored.conditions[0].type if stored else "absent"


def _answer(answers: list[Answer]) -> list[JsonObject]:
    answer = answers.pop(0) if answers else []
    if isinstance(answer, Exception):
        raise answer
    return answer


def event(event_type: str, obj: JsonObject, version: int = 101) -> JsonObject:
    return {"type": event_type, "object": {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}}


async def test_a_watch_keeps_the_cache_fresh_and_wakes_followers() -> None:
    bench = Bench(
        lists=[[training(Created="True"), training(name="other")]],
        watches=[[event("MODIFIED", training(Running="True")), event("MODIFIED", training(name="other"))]],
    )
    await bench.turn()
    assert (bench.is_watched, bench.state) == (True, "Running")
    assert bench.woken == [KEY, KEY]
    assert list(bench.cache.trainings) == [TRAINING_REF]
    bench.watches = [[event("DELETED", training())]]
    await bench.turn()
    assert bench.state == "absent"


async def test_a_watch_goes_on_after_the_last_version_that_it_has_seen() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "150"}}}
    bench = Bench(lists=[[training()]], watches=[[bookmark], UnavailableError(0, "connection reset")])
    for _ in range(3):
        await bench.turn()
    assert bench.asked == ["list", "watch after 100", "watch after 150", "watch after 150"]
    assert bench.is_watched


async def test_a_database_that_was_restored_is_listed_again() -> None:
    bench = Bench(lists=[[training()], [training()]], watches=[[event("MODIFIED", training(), 150)]])
    await bench.turn()
    bench.version = 149
    await bench.turn()
    assert bench.asked == ["list", "watch after 100", "list", "watch after 100"]


@pytest.mark.parametrize(
    "expired",
    [ExpiredError(410, "too old"), [{"type": "ERROR", "object": {"code": 410, "message": "too old"}}]],
)
async def test_a_version_that_is_too_old_is_listed_again(expired: Answer) -> None:
    bench = Bench(lists=[[training()], [training()]], watches=[expired])
    await bench.turn()
    await bench.turn()
    assert bench.asked == ["list", "watch after 100", "list", "watch after 100"]


@pytest.mark.parametrize(
    "failure",
    [BROKEN, ValueError("no JSON"), [{"type": "ERROR", "object": {"code": 500, "message": "webhook"}}]],
)
async def test_a_kind_that_breaks_is_read_one_by_one_until_it_is_mended(failure: Answer) -> None:
    bench = Bench(lists=[[training()], BROKEN, BROKEN], watches=[failure, failure])
    await bench.turn()
    assert bench.is_watched  # one failure may be a restart of the API server
    bench.woken.clear()
    await bench.turn()
    assert (bench.is_watched, bench.woken) == (False, [KEY])
    assert TRAINING_REF not in bench.cache.trainings
    delays = [await bench.turn() for _ in range(2)]
    assert delays == sorted(delays)
    bench.woken.clear()
    bench.lists = [[training()]]
    await bench.turn()
    assert (bench.is_watched, bench.woken) == (True, [KEY])


async def test_a_kind_is_not_listed_again_before_the_api_server_wants_it() -> None:
    assert await Bench(lists=[UnavailableError(429, "too many requests", 90.0)]).turn() == 90.0


async def test_a_kind_that_does_not_exist_is_looked_for_at_intervals(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(served=None)
    delays = [await bench.turn() for _ in range(8)]
    assert delays[-1] == LONGEST_DELAY
    assert (bench.asked, bench.is_watched) == ([], False)
    assert [record.getMessage().count("does not serve") for record in caplog.records] == [1]
    bench.served = SERVED
    await bench.turn()
    assert bench.is_watched


async def test_a_training_that_nothing_follows_any_more_is_forgotten() -> None:
    bench = Bench(lists=[[training()]])
    await bench.turn()
    bench.cache.evaluations.remove(evaluation(FOLLOWING))
    bench.watches = [[event("MODIFIED", training())]]
    await bench.turn()
    assert TRAINING_REF not in bench.cache.trainings


@pytest.mark.parametrize(("namespaces", "namespace"), [((), None), (("team",), "team")])
async def test_each_kind_is_watched_once_while_it_is_followed(namespaces: tuple[str, ...], namespace: str) -> None:
    bench, turns = Bench(lists=[[training()]] * 2), asyncio.Queue[float]()

    async def pause(seconds: float) -> None:
        await turns.put(seconds)
        await asyncio.sleep(0)

    async def until_watched(*, expected: bool) -> None:
        while bench.is_watched is not expected:
            await asyncio.wait_for(turns.get(), DEADLINE)

    watches = TrainingWatches(bench, bench.cache, bench.woken.append, namespaces, pause)
    running = asyncio.create_task(watches.run())
    for _ in range(3):
        watches.request(TRAINING_REF)
    for _ in range(3):
        await asyncio.wait_for(turns.get(), DEADLINE)
    assert bench.asked.count("list") == 1
    assert bench.cache.refs_in(WatchScope("kubeflow.org/v1", "TFJob", namespace)) == [TRAINING_REF]
    bench.cache.evaluations.remove(evaluation(FOLLOWING))
    await until_watched(expected=False)
    bench.cache.evaluations.put(evaluation(FOLLOWING))
    watches.request(TRAINING_REF)
    await until_watched(expected=True)
    watches.stop()
    running.cancel()
