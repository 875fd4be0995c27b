from typing import Any, cast

import kopf
import pytest

from sidecar_operator.cache import Cache
from sidecar_operator.handlers import RIGHTS, Handlers, NoMemories, register, watching_settings
from sidecar_operator.kube_objects import JsonObject, Key
from sidecar_operator.names import CHILD_SELECTOR
from unit.operator.support.samples import KEY, evaluation, job, pod


class Woken(list[Key]):
    """Keys that the handlers have woken, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache()
        self.handlers = Handlers(self.cache, self.append)


@pytest.fixture
def woken() -> Woken:
    return Woken()


def event(obj: JsonObject, event_type: str | None = "MODIFIED") -> dict[str, Any]:
    return {"event": {"type": event_type, "object": obj}, "logger": None}


async def test_a_resource_wakes_itself_until_it_is_gone(woken: Woken) -> None:
    resource = evaluation()
    await woken.handlers.on_evaluation(**event(resource, None))
    await woken.handlers.on_evaluation(**event(resource))  # the same version again
    assert woken == [KEY]
    await woken.handlers.on_evaluation(**event(resource, "DELETED"))
    assert woken.cache.evaluations.get(KEY) is None


async def test_a_pod_wakes_its_resource(woken: Woken) -> None:
    evaluator_pod = pod(job(evaluation()))
    await woken.handlers.on_pod(**event(evaluator_pod))
    await woken.handlers.on_pod(**event(evaluator_pod, "DELETED"))
    assert woken == [KEY, KEY]
    assert woken.cache.children["Pod"].of(KEY) == []


@pytest.mark.parametrize("kind", ["ServiceAccount", "Role", "RoleBinding"])
async def test_a_right_that_is_deleted_wakes_its_resource(woken: Woken, kind: str) -> None:
    right = job(evaluation(), "mnist-evaluator") | {"kind": kind}
    await woken.handlers.on_right(**event(right, None))
    await woken.handlers.on_right(**event(right, "DELETED"))
    assert woken == [KEY, KEY]
    assert woken.cache.children[kind].of(KEY) == []


async def test_an_evaluators_job_wakes_its_resource(woken: Woken) -> None:
    evaluator_job = job(evaluation()) | {"apiVersion": "batch/v1"}
    await woken.handlers.on_job(**event(evaluator_job))
    assert woken == [KEY]
    assert woken.cache.children["Job"].of(KEY)


async def test_kopf_remembers_nothing_of_the_objects_that_it_has_seen() -> None:
    memories = NoMemories()
    for number in range(3):
        body = kopf.RawBody({"metadata": {"uid": f"uid-{number}"}})
        assert (await memories.recall(body, noticed_by_listing=True)).noticed_by_listing
    assert list(memories.iter_all_memories()) == []


def test_kopf_copies_no_object_to_compare_it() -> None:
    storage = watching_settings().persistence.diffbase_storage
    body = kopf.Body(cast("kopf.RawBody", evaluation()))
    assert storage.build(body=body) == {}
    assert storage.fetch(body=body) is None


def test_kopf_stores_no_state_in_objects() -> None:
    registry = kopf.OperatorRegistry()
    register(registry, Handlers(Cache(), print))
    settings = watching_settings()
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert len(registry._watching.get_all_handlers()) == 3 + len(RIGHTS)
    assert list(settings.watching.label_selectors.values()) == [CHILD_SELECTOR] * (2 + len(RIGHTS))
    assert (settings.posting.enabled, settings.scanning.disabled) == (False, True)
