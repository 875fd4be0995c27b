"""What an evaluator may write into the status of its own resource: `results`, and nothing beside it."""

import pytest

from cluster.client import ApiError
from integration.evaluations import Evaluations, Object

MANAGER = "sidecar-evaluator"
RESULTS: Object = {"latest": {"checkpoint": "ckpt-7", "outcome": "evaluated"}, "backlog": 0}
READY: Object = {
    "type": "Ready",
    "status": "True",
    "lastTransitionTime": "2026-11-23T11:00:00Z",
    "reason": "EvaluatorRunning",
    "message": "",
}
WRITTEN_BY_OPERATOR: Object = {
    "observedGeneration": 1,
    "conditions": [READY],
    "training": {"state": "Running"},
    "gate": {"result": "Pending"},
    "job": "mnist-0a1b2c3d",
}
FORBIDDEN: dict[str, Object] = {
    "a condition more": {"conditions": [READY | {"type": "Finished"}]},
    "a condition changed": {"conditions": [READY | {"status": "False"}]},
    "an observed generation": {"observedGeneration": 2},
    "the end of training": {"training": {"state": "Succeeded"}},
    "a message of training": {"training": {"message": "over"}},
    "a verdict": {"gate": {"result": "Passed"}},
    "another job": {"job": "mnist-ffffffff"},
}
REFUSAL = "403: .*an evaluator may write status.results only"


def test_results_are_written(evaluator: Evaluations) -> None:
    assert evaluator.apply_status({"results": RESULTS}, MANAGER)["status"]["results"] == RESULTS


def test_results_are_written_beside_what_the_operator_wrote(evaluator: Evaluations, evaluations: Evaluations) -> None:
    evaluations.apply_status(WRITTEN_BY_OPERATOR, "sidecar-operator")
    status = evaluator.apply_status({"results": RESULTS}, MANAGER)["status"]
    assert status == WRITTEN_BY_OPERATOR | {"results": RESULTS}


@pytest.mark.parametrize("status", FORBIDDEN.values(), ids=FORBIDDEN)
@pytest.mark.parametrize("before", [{}, WRITTEN_BY_OPERATOR], ids=["new resource", "observed resource"])
def test_fields_of_the_operator_are_refused(
    evaluator: Evaluations, evaluations: Evaluations, before: Object, status: Object
) -> None:
    expected = evaluations.apply_status(before, "sidecar-operator")["status"]
    with pytest.raises(ApiError, match=REFUSAL):
        evaluator.apply_status(status, MANAGER)
    with pytest.raises(ApiError, match=REFUSAL):
        evaluator.apply_status(status | {"results": RESULTS}, MANAGER)
    with pytest.raises(ApiError, match=REFUSAL):
        evaluator.update({"status": status}, subresource="/status")
    assert evaluations.read()["status"] == expected


@pytest.mark.parametrize("field", WRITTEN_BY_OPERATOR)
def test_fields_of_the_operator_cannot_be_removed(evaluator: Evaluations, evaluations: Evaluations, field: str) -> None:
    evaluations.apply_status(WRITTEN_BY_OPERATOR, "sidecar-operator")
    with pytest.raises(ApiError, match=REFUSAL):
        evaluator.update({"status": {field: None}}, subresource="/status")
    assert evaluations.read()["status"] == WRITTEN_BY_OPERATOR


def test_status_cannot_be_removed(evaluator: Evaluations, evaluations: Evaluations) -> None:
    evaluations.apply_status(WRITTEN_BY_OPERATOR, "sidecar-operator")
    with pytest.raises(ApiError, match=REFUSAL):
        evaluator.update({"status": None}, subresource="/status")


def test_spec_and_metadata_do_not_change_through_the_status(evaluator: Evaluations) -> None:
    before = evaluator.read()
    metadata = {"labels": {"a": "b"}, "annotations": {"a": "b"}, "finalizers": ["a.b/c"]}
    after = evaluator.update({"metadata": metadata, "spec": {"suspend": True}}, subresource="/status")
    for evaluation in (before, after):
        del evaluation["metadata"]["managedFields"], evaluation["metadata"]["resourceVersion"]
    assert after == before
