import json
from typing import Any

import pytest

from sidecar_operator.kube_objects import JsonObject
from sidecar_operator.trimming import ROOM, outlined, trimmed
from unit.operator.support.samples import RESULTS, evaluation, job, pod, training

JOB = job(evaluation())


def with_metadata(raw: JsonObject, **fields: Any) -> JsonObject:
    return {**raw, "metadata": {**raw["metadata"], **fields}}


def test_only_what_is_read_is_kept() -> None:
    big = with_metadata({**pod(JOB), "spec": {"containers": []}}, managedFields=[{}], selfLink="/")
    assert set(trimmed(big)) == {"kind", "metadata", "status"}
    assert not {"managedFields", "selfLink"} & set(trimmed(big)["metadata"])
    templated = {**JOB, "spec": {"suspend": False, "template": {}}}
    assert trimmed(templated)["spec"] == {"suspend": False}
    assert trimmed(evaluation())["spec"] == evaluation()["spec"]


def test_of_annotations_only_the_projects_own_are_kept() -> None:
    annotations = {"sidecareval.dev/attempt": "2", "somebody.example/notes": "x" * 1000}
    assert trimmed(with_metadata(JOB, annotations=annotations))["metadata"]["annotations"] == {
        "sidecareval.dev/attempt": "2"
    }
    assert "annotations" not in trimmed(with_metadata(JOB, annotations={"other": "x"}))["metadata"]


def test_what_anybody_may_write_into_metadata_is_bounded() -> None:
    labels = {f"label-{number}": "x" * 63 for number in range(1000)}
    own_annotations = {"sidecareval.dev/restartedAt": "x" * 100_000}
    resource = trimmed(with_metadata(evaluation(), labels=labels, annotations=own_annotations))
    assert len(json.dumps(resource["metadata"])) < 1500
    outline = outlined(with_metadata(training(), labels=labels, annotations=own_annotations))
    assert len(json.dumps(outline["metadata"])) < 500


def test_of_the_history_only_the_newest_entry_is_kept() -> None:
    resource = evaluation(status={"results": {**RESULTS, "history": [{"checkpoint": "b"}, {"checkpoint": "a"}]}})
    assert trimmed(resource)["status"]["results"] == {**RESULTS, "history": [{"checkpoint": "b"}]}
    assert len(resource["status"]["results"]["history"]) == 2


@pytest.mark.parametrize("spec", ["a template", None, 5, [], {"template": None}])
def test_the_spec_may_have_any_shape(spec: object) -> None:
    assert trimmed({**training(), "spec": spec})["spec"] == spec


def test_the_outline_of_a_training_has_its_status_and_no_spec() -> None:
    raw = {**training(Running="True"), "spec": {"replicas": 1}}
    assert outlined(raw) == {field: value for field, value in raw.items() if field != "spec"}


def test_the_outline_of_a_training_is_small_whatever_its_status_holds() -> None:
    leaf: object = "x" * 100_000
    for _ in range(50):
        leaf = {"next": leaf, "items": [leaf] * 3}
    nodes = {f"node-{number}": {"message": "x" * 5000, "children": ["y" * 5000] * 500} for number in range(500)}
    conditions = training(Running="True")["status"]["conditions"]
    status = {"nodes": nodes, "deep": leaf, "x" * 100_000: 1, "conditions": conditions, "phase": "Running"}
    outline = outlined({**training(), "status": status})
    assert outline["status"]["phase"] == "Running"
    assert outline["status"]["conditions"] == conditions
    assert len(json.dumps(outline)) < 2 * ROOM


@pytest.mark.parametrize("status", [None, "broken", 3, []])
def test_the_status_of_a_training_may_have_any_shape(status: object) -> None:
    assert outlined({**training(), "status": status})["status"] == status
