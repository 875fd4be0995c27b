"""What an evaluator says about itself, and what it means that it says nothing."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sidecar_operator.conditions import Reason
from sidecar_operator.evaluator_reports import problem_of, seconds_to_introduction, silence_of
from sidecar_operator.kube_objects import JsonObject, Pod, format_time, parse_time
from sidecar_operator.resource_view import SidecarEvaluation
from unit.operator.support.samples import condition, evaluation, job, pod, running

START = parse_time("2026-01-02T03:00:00Z")
assert START


def at(seconds: float) -> datetime:
    assert START
    return START + timedelta(seconds=seconds)


def reported(pod_name: str = "", **results: Any) -> SidecarEvaluation:
    evaluator = {"evaluator": {"pod": pod_name}} if pod_name else {}
    return SidecarEvaluation(evaluation(status={"results": evaluator | results}))


def ready(status: str, since: float, reason: str = "ContainersNotReady") -> JsonObject:
    return condition("Ready", status, reason) | {"lastTransitionTime": format_time(at(since))}


def running_pod(*conditions: JsonObject, **fields: Any) -> Pod:
    status: JsonObject = {
        "phase": "Running",
        "containerStatuses": [running(format_time(at(0)))],
        "conditions": list(conditions),
    }
    return Pod(pod(job(evaluation()), "pod-1", **status, **fields))


NEVER_READY, READY, READY_BEFORE = ready("False", -2), ready("True", 5, ""), ready("False", 300)
NODE_LOST = ready("False", 300, "")


@pytest.mark.parametrize(
    ("conditions", "says", "reporter", "after"),
    [
        ([NEVER_READY], "has not written status.results since its start at 2026-01-02T03:00:00Z", "", 60),
        ([NEVER_READY], "has not written status.results", "pod-of-yesterday", 3600),
        ([READY_BEFORE], "has failed its readiness probe since 2026-01-02T03:05:00Z", "pod-1", 310),
    ],
)
def test_an_evaluator_that_runs_and_cannot_report_is_named(
    conditions: list[JsonObject], says: str, reporter: str, after: float
) -> None:
    silence = silence_of(reported(reporter), running_pod(*conditions), at(after))
    assert silence is not None
    assert silence.reason is Reason.EVALUATOR_NOT_REPORTING
    assert all(words in silence.message for words in (says, "NetworkPolicies of namespace team", "kubectl logs pod-1"))


@pytest.mark.parametrize(
    ("conditions", "reporter", "after", "fields"),
    [
        ([NEVER_READY], "", 59, {}),
        ([NEVER_READY], "pod-1", 3600, {}),  # it builds a large model
        ([READY], "", 3600, {}),  # an evaluator of an earlier version
        ([READY_BEFORE], "pod-1", 310, {"deleting": True}),
        ([NODE_LOST], "pod-1", 310, {}),
    ],
)
def test_an_evaluator_that_is_not_ready_for_another_cause_is_not_silent(
    conditions: list[JsonObject], reporter: str, after: float, fields: dict[str, Any]
) -> None:
    assert silence_of(reported(reporter), running_pod(*conditions, **fields), at(after)) is None


def test_a_pod_that_does_not_run_is_not_silent() -> None:
    pending = Pod(pod(job(evaluation()), phase="Pending"))
    assert silence_of(reported(), pending, at(3600)) is None
    assert seconds_to_introduction(reported(), pending, at(3600)) is None
    assert seconds_to_introduction(reported(), None, at(3600)) is None


@pytest.mark.parametrize(("reporter", "after", "seconds"), [("", 20.0, 40.0), ("", 90.0, 0.0), ("pod-1", 20.0, None)])
def test_the_first_report_is_awaited_for_a_minute(reporter: str, after: float, seconds: float | None) -> None:
    assert seconds_to_introduction(reported(reporter), running_pod(NEVER_READY), at(after)) == seconds


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("DirectoryMissing", "it is so (spec.checkpoints.path is 'run': let the training save there"),
        ("NoCheckpoints", "it is so (spec.checkpoints.path is 'run': let the training save there"),
        ("CheckpointsUnreadable", "it is so (spec.evaluator.securityContext sets its user"),
    ],
)
def test_a_problem_is_what_the_evaluator_says_and_what_to_do(reason: str, says: str) -> None:
    resource = reported("pod-1", problem={"reason": reason, "message": "it is so"})
    problem = problem_of(resource, [running_pod()])
    assert problem is not None
    assert problem.reason == reason
    assert problem.message.startswith(says)
    assert problem_of(resource, []) is None
