import inspect
from datetime import UTC, datetime
from typing import Any

import pytest

from sidecar_operator.kube_objects import (
    Field,
    Job,
    Key,
    KubeObject,
    Pod,
    flag_at,
    format_time,
    integer_at,
    object_at,
    objects_at,
    parse_time,
    text_at,
    time_at,
)
from unit.operator.support.samples import condition, evaluation, job, pod, terminated, waiting

SHAPES: list[Any] = [None, "text", 5, True, [], ["text", None], {}, {"conditions": "text"}, {"conditions": {"a": 1}}]
"""Values of other types than the API documents, as another program may write them."""


def read_everything(view: object) -> dict[str, Any]:
    """Return the value of every property of a view."""
    fields = [name for name, value in inspect.getmembers_static(type(view)) if isinstance(value, property | Field)]
    return {name: getattr(view, name) for name in fields}


@pytest.mark.parametrize("view", [KubeObject, Job, Pod])
@pytest.mark.parametrize("field", ["metadata", "spec", "status"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_field_of_any_shape_reads_as_absent(view: type[KubeObject], field: str, shape: Any) -> None:
    assert read_everything(view({field: shape})) == read_everything(view({}))


@pytest.mark.parametrize("shape", [*SHAPES, {"state": "gone"}, {"state": {"waiting": "for ever", "terminated": 1}}])
def test_a_container_of_any_shape_tells_nothing(shape: Any) -> None:
    containers = Pod({"status": {"containerStatuses": [shape], "initContainerStatuses": shape}}).containers
    assert [(container.name, container.waiting, container.terminated) for container in containers] in (
        [],
        [("", None, None)],
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_metadata_of_any_shape_has_no_owner(shape: Any) -> None:
    obj = KubeObject({"metadata": {"labels": shape, "ownerReferences": shape, "name": shape, "generation": [shape]}})
    assert obj.owner_key is None
    assert not obj.is_child
    assert not obj.is_owned_by(KubeObject({"metadata": {"uid": "uid-1"}}))
    assert obj.generation == 0


def test_metadata() -> None:
    owner = KubeObject(evaluation(generation=3))
    child = Job(job(evaluation()))
    assert (owner.key, str(owner.key), owner.uid, owner.generation) == (
        Key("team", "mnist"),
        "team/mnist",
        "uid-mnist",
        3,
    )
    assert (child.owner_key, child.is_child, child.is_owned_by(owner)) == (owner.key, True, True)
    assert child.created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert not child.is_being_deleted
    assert Pod(pod(job(evaluation()), deleting=True)).is_being_deleted


def test_conditions() -> None:
    ended = Job(job(evaluation(), conditions=[condition("Complete", message="done"), condition("Failed", "False")]))
    complete = ended.condition("Complete")
    assert complete is not None
    assert (complete.status, complete.message, complete.last_transition_time) == (
        "True",
        "done",
        "2026-01-01T00:00:00Z",
    )
    assert (ended.has_true("Complete"), ended.has_true("Failed"), ended.has_true("Suspended")) == (True, False, False)
    assert ended.has_ended


def test_containers() -> None:
    running = Pod(
        pod(
            job(evaluation()),
            initContainerStatuses=[terminated(0, "ok")],
            containerStatuses=[waiting("ErrImagePull", "not found")],
        )
    )
    first, second = running.containers
    assert first.terminated is not None
    assert (first.terminated.exit_code, first.terminated.reason, first.terminated.message) == (0, "Error", "ok")
    assert second.waiting is not None
    assert (second.image, second.waiting.reason, second.waiting.message) == ("img:1", "ErrImagePull", "not found")


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-01-01T00:00:00", "0001-01-01T00:00:00+01:00", "2024-01-01T00:00:00+99:99"],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.250000Z", "0001-01-01T00:00:00Z"])
def test_a_time_is_written_as_it_was_read(text: str) -> None:
    moment = parse_time(text)
    assert moment is not None
    assert format_time(moment) == text


def test_values_of_another_type_are_absent() -> None:
    value = {"text": "a", "number": 1, "flag": True, "object": {"a": 1}, "list": [{"a": 1}, "a", None]}
    assert [text_at(value, field) for field in value] == ["a", "", "", "", ""]
    assert [integer_at(value, field) for field in value] == [None, 1, None, None, None]
    assert [object_at(value, field) for field in value] == [{}, {}, {}, {"a": 1}, {}]
    assert [objects_at(value, field) for field in value] == [[], [], [], [], [{"a": 1}]]
    assert [flag_at(value, field) for field in value] == [False, False, True, False, False]
    assert [time_at(value, field) for field in value] == [None] * 5
    assert integer_at(value, "object", "a") == 1
