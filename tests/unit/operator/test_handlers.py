from typing import Any

import kopf
import pytest

from sidecar_operator.cache import Cache
from sidecar_operator.handlers import Handlers, register, watching_settings
from sidecar_operator.kube_objects import JsonObject, Key
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


async def test_an_evaluators_job_wakes_its_resource(woken: Woken) -> None:
    evaluator_job = job(evaluation()) | {"apiVersion": "batch/v1"}
    await woken.handlers.on_job(**event(evaluator_job))
    assert woken == [KEY]
    assert woken.cache.children["Job"].of(KEY)


def test_kopf_stores_no_state_in_objects() -> None:
    registry = kopf.OperatorRegistry()
    register(registry, Handlers(Cache(), print))
    settings = watching_settings()
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert len(registry._watching.get_all_handlers()) == 3
    assert (settings.posting.enabled, settings.scanning.disabled) == (False, True)
