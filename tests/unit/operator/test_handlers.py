from typing import Any

import kopf
import pytest

from sidecar_operator.cache import Store
from sidecar_operator.handlers import FOLLOWED_KINDS, Handlers, register, watching_settings
from sidecar_operator.kube_objects import Key, Object
from unit.operator.support.samples import KEY, evaluation, job, pod, training

FOLLOWING = {"trainingRef": {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "train"}}


class Woken(list[Key]):
    """Keys that the handlers have woken, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.handlers = Handlers(self.store, self.append)


@pytest.fixture
def woken() -> Woken:
    return Woken()


def event(obj: Object, event_type: str | None = "MODIFIED") -> dict[str, Any]:
    return {"event": {"type": event_type, "object": obj}, "logger": None}


async def test_a_resource_wakes_itself_until_it_is_gone(woken: Woken) -> None:
    found = evaluation()
    await woken.handlers.evaluation(**event(found, None))
    await woken.handlers.evaluation(**event(found))  # the same version again
    assert woken == [KEY]
    await woken.handlers.evaluation(**event(found, "DELETED"))
    assert woken.store.evaluations.get(KEY) is None


async def test_a_pod_wakes_its_resource(woken: Woken) -> None:
    found = pod(job(evaluation()))
    await woken.handlers.pod(**event(found))
    await woken.handlers.pod(**event(found, "DELETED"))
    assert woken == [KEY, KEY]
    assert woken.store.children["Pod"].of(KEY) == []


async def test_an_evaluators_job_wakes_its_resource(woken: Woken) -> None:
    found = job(evaluation()) | {"apiVersion": "batch/v1"}
    await woken.handlers.training(**event(found))
    assert woken == [KEY]
    assert woken.store.children["Job"].of(KEY)


async def test_a_training_wakes_those_that_follow_it(woken: Woken) -> None:
    woken.store.evaluations.put(evaluation(FOLLOWING))
    await woken.handlers.training(**event(training(name="other")))
    assert woken == []
    await woken.handlers.training(**event(training()))
    assert woken == [KEY]


async def test_a_deleted_training_is_known_to_be_gone(woken: Woken) -> None:
    woken.store.evaluations.put(evaluation(FOLLOWING))
    ref = next(iter(woken.store.evaluations))["spec"]["trainingRef"]
    await woken.handlers.training(**event(training(), "DELETED"))
    known = [found for found in woken.store.trainings if found.name == ref["name"]]
    assert [woken.store.trainings.get(found) for found in known] == [None]


def test_kopf_keeps_no_state_of_its_own() -> None:
    registry = kopf.OperatorRegistry()
    register(registry, Handlers(Store(), print), FOLLOWED_KINDS)
    settings = watching_settings()
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert len(registry._watching.get_all_handlers()) == 2 + len(FOLLOWED_KINDS)
    assert (settings.posting.enabled, settings.scanning.disabled) == (False, True)
