"""After an upgrade: which evaluators get another default image, and how many at a time."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from sidecar_operator import names
from sidecar_operator.cache import Cache
from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import JsonObject, Key, KubeObject, format_time
from sidecar_operator.rollover import LONGEST_START, Rollover
from unit.operator.support.samples import NOW, condition, evaluation, finished, job, pod, terminated

NEW, OLD = "img:2", "img:1"
AT = datetime.fromisoformat(NOW)


class Fleet:
    """Resources of one namespace, each with a Job."""

    def __init__(self) -> None:
        self.cache = Cache()

    def add(self, name: str, image: str = OLD, job_status: JsonObject | None = None, **status: Any) -> JsonObject:
        resource = named(evaluation(status={"observedGeneration": 1, **status}), name)
        self.cache.evaluations.put(resource)
        child = named(job(resource, **(job_status or {})), name)
        child["metadata"]["labels"] |= {names.NAME_LABEL: name}
        if image:
            child["metadata"]["annotations"] = {names.DEFAULT_IMAGE_ANNOTATION: image}
        self.cache.jobs.put(child)
        return child

    async def rollover(self, limit: int = 2) -> Rollover:
        rollover = Rollover(self.cache, NEW, limit, now=lambda: AT)
        await rollover.search()
        return rollover

    async def due(self, limit: int = 2) -> list[str]:
        return self.chosen(await self.rollover(limit))

    def chosen(self, rollover: Rollover) -> list[str]:
        rollover.look()
        return sorted(child.name for child in self.cache.jobs if rollover.is_due(child))


def named(obj: JsonObject, name: str) -> JsonObject:
    return {**obj, "metadata": {**obj["metadata"], "name": name, "uid": f"uid-{name}"}}


def rolled(age: timedelta = timedelta(seconds=30), *, ready: bool = False) -> dict[str, Any]:
    conditions = [condition("Ready", "True" if ready else "False", Reason.EVALUATOR_STARTING)]
    return {"conditions": conditions, "run": {"rolledOver": True, "startsAt": format_time(AT - age)}}


@pytest.fixture
def fleet() -> Fleet:
    filled = Fleet()
    for name in ("c", "a", "b"):
        filled.add(name)
    return filled


@pytest.mark.parametrize(("limit", "due"), [(0, []), (1, ["a"]), (2, ["a", "b"]), (9, ["a", "b", "c"])])
async def test_as_many_as_allowed_in_the_order_of_their_names(fleet: Fleet, limit: int, due: list[str]) -> None:
    assert await fleet.due(limit) == due


@pytest.mark.parametrize(
    ("status", "due"),
    [
        (rolled(), ["a"]),
        (rolled(ready=True), ["a", "b"]),
        (rolled(LONGEST_START), ["a", "b"]),
        ({"conditions": finished(), "run": rolled()["run"]}, ["a", "b"]),
        (
            {"conditions": [condition("Ready", "False")]},
            ["a", "b"],
        ),  # a new one that starts
    ],
)
async def test_the_next_one_waits_until_the_one_before_is_ready(
    fleet: Fleet, status: dict[str, Any], due: list[str]
) -> None:
    fleet.add("rolled", NEW, **status)
    assert await fleet.due() == due


@pytest.mark.parametrize(
    ("image", "job_status", "run"),
    [
        (NEW, {}, {}),
        ("", {}, {}),  # its spec names an image
        (OLD, {"conditions": [condition("Complete")]}, {}),
        (OLD, {"conditions": [condition("Failed")]}, {}),
        (OLD, {}, {"attempt": 1}),  # decided already
    ],
)
async def test_what_is_not_replaced(image: str, job_status: JsonObject, run: JsonObject) -> None:
    fleet = Fleet()
    fleet.add("a", image, job_status, run=run)
    assert await fleet.due() == []


async def test_an_evaluator_that_has_just_ended_is_left_to_end() -> None:
    fleet = Fleet()
    child = fleet.add("a")
    ended = pod(child, phase="Running", containerStatuses=[terminated(0)])
    ended["metadata"]["labels"][names.NAME_LABEL] = "a"
    fleet.cache.pods.put(ended)
    assert KubeObject(ended).owner_key == Key("team", "a")
    assert await fleet.due() == []


async def test_one_after_the_other_is_rolled_over_as_the_one_before_becomes_ready(fleet: Fleet) -> None:
    rollover = await fleet.rollover(limit=1)
    for name in ("a", "b", "c"):
        assert fleet.chosen(rollover) == [name]
        assert fleet.chosen(rollover) == [name]  # its turn lasts until a pass has replaced it
        fleet.add(name, NEW, **rolled())
        assert fleet.chosen(rollover) == []
        fleet.add(name, NEW, **rolled(ready=True))
    assert fleet.chosen(rollover) == []


async def test_what_waits_is_woken(fleet: Fleet) -> None:
    woken: asyncio.Queue[Key] = asyncio.Queue()
    task = asyncio.create_task(Rollover(fleet.cache, NEW, 2, now=lambda: AT).run(woken.put_nowait))
    assert {(await woken.get()).name for _ in range(2)} == {"a", "b"}
    task.cancel()
