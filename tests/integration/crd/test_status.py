"""The status schema: what operator and evaluator write is kept, what is malformed or too large is refused."""

import copy
from typing import Any

import pytest

from cluster.client import ApiError
from integration.evaluations import Evaluations, Object
from sidecar_evaluator.results.status_bounds import HISTORY_SIZE, result_size
from support.largest import WORST, stored_size

EVALUATOR, OPERATOR = "sidecar-evaluator", "sidecar-operator"

EVALUATED: Object = {
    "checkpoint": "ckpt-7",
    "step": 700,
    "number": 7,
    "outcome": "evaluated",
    "score": "accuracy=0.9312",
    "metrics": [
        {"name": "accuracy", "dataset": "val", "value": "0.9312"},
        {"name": "loss", "dataset": "val", "value": "1.5e-05"},
        {"name": "accuracy", "dataset": "test", "value": "NaN"},
        {"name": "loss", "dataset": "test", "value": "-Infinity"},
    ],
    "modifiedAt": "2026-11-23T10:59:58.5Z",
    "startedAt": "2026-11-23T11:00:00Z",
    "evaluatedAt": "2026-11-23T11:00:04.123456Z",
    "durationSeconds": "4.1",
    "imageID": "docker.io/library/sidecar-evaluator@sha256:" + "0" * 64,
}
FAILED: Object = {
    "checkpoint": "ckpt-6",
    "number": 6,
    "outcome": "failed",
    "reason": "Unreadable",
    "message": "ckpt-6.index: truncated",
}
RESULTS: Object = {
    "latest": EVALUATED,
    "best": EVALUATED,
    "history": [EVALUATED, FAILED, {"checkpoint": "weights", "outcome": "gone"}],
    "counts": {"evaluated": 7, "skipped": 1, "failed": 1, "gone": 1},
    "backlog": 2,
    "watermark": 7,
    "ended": {"reason": "TrainingFinished", "at": "2026-11-23T11:00:05Z"},
}
READY: Object = {
    "type": "Ready",
    "status": "True",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-11-23T11:00:00Z",
    "reason": "EvaluatorRunning",
    "message": "the evaluator is running",
}
OPERATORS: Object = {
    "observedGeneration": 1,
    "conditions": [READY],
    "training": {"state": "Succeeded", "finishedAt": "2026-11-23T11:00:00Z", "message": "done"},
    "gate": {"result": "Pending", "checkpoint": "ckpt-7", "decidedAt": None, "message": ""},
    "job": "mnist-5f2c0a1b",
}

METRIC: Object = {"name": "accuracy", "value": "1.0"}
LONG_METRICS: list[Object] = [{"name": f"{number:0128}", "value": "1.0"} for number in range(60)]

MALFORMED: list[tuple[str, Object, str]] = [
    ("a history of 51", {"history": [FAILED] * 51}, "must have at most 50 items"),
    ("65 metrics", {"latest": EVALUATED | {"metrics": [{"name": f"m{n}", "value": "1"} for n in range(65)]}}, "64"),
    ("metrics of long names", {"latest": EVALUATED | {"metrics": LONG_METRICS}}, "to keep the status small"),
    ("a history of long results", {"history": [EVALUATED | {"metrics": LONG_METRICS[:5]}] * 50}, "drop its oldest"),
    ("a name that JSON escapes", {"latest": EVALUATED | {"metrics": [METRIC | {"name": "<m>"}]}}, "should match"),
    ("a time of many digits", {"latest": EVALUATED | {"evaluatedAt": "2026-11-23T11:00:00." + "0" * 99 + "Z"}}, "long"),
    ("a metric twice", {"latest": EVALUATED | {"metrics": [METRIC, METRIC]}}, "duplicate"),
    ("a value that is a number", {"latest": EVALUATED | {"metrics": [METRIC | {"value": 1.0}]}}, "value"),
    ("a value in words", {"latest": EVALUATED | {"metrics": [METRIC | {"value": "good"}]}}, "should match"),
    ("a huge name", {"latest": EVALUATED | {"metrics": [METRIC | {"name": "m" * 129}]}}, "Too long"),
    ("a huge message", {"history": [FAILED | {"message": "x" * 513}]}, "Too long"),
    ("a huge checkpoint", {"latest": EVALUATED | {"checkpoint": "c" * 256}}, "Too long"),
    ("a huge score", {"best": EVALUATED | {"score": "s" * 257}}, "Too long"),
    ("no outcome", {"latest": {"checkpoint": "ckpt-7"}}, "outcome: Required value"),
    ("an unknown outcome", {"latest": EVALUATED | {"outcome": "skipped"}}, "Unsupported value"),
    ("a negative step", {"latest": EVALUATED | {"step": -1}}, "greater than or equal to 0"),
    ("a step that is no integer", {"latest": EVALUATED | {"step": "700"}}, "step"),
    ("a time of no form", {"latest": EVALUATED | {"evaluatedAt": "yesterday"}}, "date-time"),
    ("a time of writing of no form", {"best": EVALUATED | {"modifiedAt": "1.5"}}, "date-time"),
    ("a negative count", {"counts": {"evaluated": -1}}, "greater than or equal to 0"),
    ("an unknown ending", {"ended": {"reason": "Bored", "at": "2026-11-23T11:00:05Z"}}, "Unsupported value"),
    ("an unknown field", {"weights": "AAAA"}, "field not declared in schema"),
]


def test_results_are_kept_as_written(evaluations: Evaluations) -> None:
    evaluations.create()
    assert evaluations.apply_status({"results": RESULTS}, EVALUATOR)["status"]["results"] == RESULTS
    assert evaluations.read()["status"] == {"observedGeneration": -1, "results": RESULTS}


LARGEST: dict[str, Object] = {
    "names": FAILED | {"checkpoint": WORST * 255},
    "messages": FAILED | {"message": WORST * 512},
    "metrics": EVALUATED | {"metrics": LONG_METRICS[:18]},
    "results without anything": {"checkpoint": "c", "outcome": "gone"},
}


@pytest.mark.parametrize("entry", LARGEST.values(), ids=LARGEST)
def test_the_largest_history_is_kept_and_one_result_more_is_refused(evaluations: Evaluations, entry: Object) -> None:
    evaluations.create()
    defaulted = [{"dataset": "default"} | metric for metric in entry.get("metrics", ())]
    size = result_size(entry | {"metrics": defaulted})
    history = [entry] * min(HISTORY_SIZE // size, 50)
    stored = evaluations.apply_status({"results": {"history": history}}, EVALUATOR)["status"]["results"]["history"]
    assert len(stored) == len(history)
    assert stored_size(stored) <= HISTORY_SIZE + 2
    with pytest.raises(ApiError, match=r"drop its oldest|at most 50 items"):
        evaluations.apply_status({"results": {"history": [*history, entry]}}, EVALUATOR)


def test_dataset_of_a_metric_defaults(evaluations: Evaluations) -> None:
    evaluations.create()
    applied = evaluations.apply_status({"results": {"latest": EVALUATED | {"metrics": [METRIC]}}}, EVALUATOR)
    assert applied["status"]["results"]["latest"]["metrics"] == [METRIC | {"dataset": "default"}]


def test_what_the_evaluator_no_longer_applies_is_removed(evaluations: Evaluations) -> None:
    evaluations.create()
    evaluations.apply_status({"results": RESULTS}, EVALUATOR)
    smaller = {"latest": {"checkpoint": "ckpt-8", "outcome": "evaluated", "metrics": [METRIC | {"dataset": "val"}]}}
    assert evaluations.apply_status({"results": smaller}, EVALUATOR)["status"]["results"] == smaller


@pytest.mark.parametrize(("results", "message"), [pytest.param(*row[1:], id=row[0]) for row in MALFORMED])
def test_malformed_results_are_refused(evaluations: Evaluations, results: Object, message: str) -> None:
    evaluations.create()
    with pytest.raises(ApiError) as refusal:
        evaluations.apply_status({"results": results}, EVALUATOR)
    assert message in str(refusal.value)
    assert "results" not in evaluations.read()["status"]


def test_operator_and_evaluator_leave_each_other_alone(evaluations: Evaluations) -> None:
    evaluations.create()
    evaluations.apply_status(OPERATORS, OPERATOR)
    evaluations.apply_status({"results": RESULTS}, EVALUATOR)
    evaluations.apply_status(OPERATORS | {"job": "mnist-00000000"}, OPERATOR)
    status = evaluations.apply_status({"results": {"backlog": 0}}, EVALUATOR)["status"]
    expected: Object = OPERATORS | {"job": "mnist-00000000", "results": {"backlog": 0}}
    assert status == expected


def test_condition_is_removed_when_no_longer_applied(evaluations: Evaluations) -> None:
    evaluations.create()
    stalled = READY | {"type": "Stalled"}
    evaluations.apply_status(OPERATORS | {"conditions": [READY, stalled]}, OPERATOR)
    status = evaluations.apply_status(OPERATORS, OPERATOR)["status"]
    assert [condition["type"] for condition in status["conditions"]] == ["Ready"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "Yes"), ("reason", ""), ("reason", "not a reason"), ("message", "x" * 1025), ("type", "")],
)
def test_malformed_condition_is_refused(evaluations: Evaluations, field: str, value: Any) -> None:
    evaluations.create()
    conditions = [copy.deepcopy(READY) | {field: value}]
    with pytest.raises(ApiError, match=rf"conditions\[0\]\.{field}"):
        evaluations.apply_status({"conditions": conditions}, OPERATOR)


@pytest.mark.parametrize("state", ["Pending", "Running", "Suspended", "Succeeded", "Failed", "Gone"])
def test_states_of_training(evaluations: Evaluations, state: str) -> None:
    evaluations.create()
    training = {"state": state, "finishedAt": None}
    assert evaluations.apply_status({"training": training}, OPERATOR)["status"]["training"] == training


def test_status_does_not_change_the_generation(evaluations: Evaluations) -> None:
    evaluations.create()
    assert evaluations.apply_status({"results": RESULTS}, EVALUATOR)["metadata"]["generation"] == 1
