"""After a failed Job: whether another one follows, when, and what counts against the evaluator."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Job, JsonObject, Pod, parse_time
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.restarts import FAILURE_LIMIT, LONGEST_PAUSE, delay, successor, taken_over_at
from sidecar_operator.runs import Run
from unit.operator.support.samples import EARLIER, NOW, condition, evaluation, held_open, job, pod, terminated

FAILED: JsonObject = {"conditions": [condition("Failed", reason="BackoffLimitExceeded", message="backoff limit")]}
CRASHED: JsonObject = {"phase": "Failed", "containerStatuses": [terminated(1, "boom")]}
RUN = Run(1, pod_template="aaaa", settled=3)


def failed_at(time: str) -> JsonObject:
    failed = condition("Failed", reason="BackoffLimitExceeded", message="backoff limit")
    return {"conditions": [failed | {"lastTransitionTime": time}]}


def followed_by(
    pods: list[JsonObject] | None = None, job_status: JsonObject | None = None, run: Run = RUN, settled: int = 3
) -> Run | None:
    owner = evaluation(status={"results": {"counts": {"evaluated": settled}}})
    parent = job(owner, **(FAILED if job_status is None else job_status))
    children = [Pod(pod(parent, f"pod-{number}", **status)) for number, status in enumerate(pods or [])]
    now = parse_time(NOW)
    assert now
    return successor(run, SidecarEvaluation(owner), Job(parent), children, now)


@pytest.mark.parametrize("job_status", [{}, {"conditions": [condition("Complete")]}])
def test_a_job_that_has_not_failed_has_no_successor(job_status: JsonObject) -> None:
    assert followed_by(job_status=job_status) is None


def ended(code: int, **container: Any) -> JsonObject:
    status = terminated(code)
    status["state"]["terminated"] |= container
    return {"phase": "Failed", "containerStatuses": [status]}


OUTSIDE: list[JsonObject] = [
    ended(75),
    ended(143),
    ended(137, reason="ContainerStatusUnknown"),
    ended(255, reason="Unknown"),
    {**CRASHED, "conditions": [condition("DisruptionTarget")]},
    {**CRASHED, "deleting": True},
    {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no healthy devices"},
    {"phase": "Failed", "containerStatuses": [{**terminated(1), "name": "log-shipper"}]},
]


@pytest.mark.parametrize("status", OUTSIDE)
def test_causes_from_outside_never_end_an_evaluation(status: JsonObject) -> None:
    run = followed_by([status] * FAILURE_LIMIT, run=Run(1, failures=FAILURE_LIMIT - 1, settled=3))
    assert run is not None
    assert run.failures == FAILURE_LIMIT - 1


@pytest.mark.parametrize("status", [CRASHED, ended(137, reason="OOMKilled"), ended(128, reason="StartError")])
def test_failures_of_the_evaluator_itself_count_as_long_as_nothing_is_settled(status: JsonObject) -> None:
    first = followed_by([status] * 3)
    assert first is not None
    assert (first.attempt, first.failures, first.fruitless_attempts) == (1, 3, 1)
    second = followed_by([status] * 3, run=first)
    assert second is not None
    assert second.failures == 6
    assert followed_by([status], run=second) is None


@pytest.mark.parametrize("settled_before", [0, 3, 50])
def test_a_checkpoint_settled_since_forgives_everything_before(settled_before: int) -> None:
    """Also where results began anew with other code, so that fewer are settled than before."""
    before = Run(1, attempt=9, fruitless_attempts=4, failures=6, settled=settled_before)
    run = followed_by([CRASHED] * FAILURE_LIMIT, run=before, settled=4)
    assert run is not None
    assert (run.attempt, run.failures, run.fruitless_attempts, run.settled) == (10, 0, 0, 4)


def test_results_that_began_anew_and_hold_nothing_yet_forgive_nothing() -> None:
    before = Run(1, attempt=9, fruitless_attempts=4, failures=FAILURE_LIMIT, settled=50)
    assert followed_by([CRASHED], run=before, settled=0) is None


@pytest.mark.parametrize(
    ("pods", "reason"),
    [([ended(78)], "BackoffLimitExceeded"), ([], "PodFailurePolicy")],  # the pod's own event may come later
)
def test_a_configuration_error_is_not_tried_again(pods: list[JsonObject], reason: str) -> None:
    assert followed_by(pods, {"conditions": [condition("Failed", reason=reason)]}, settled=4) is None


@pytest.mark.parametrize("failed", ["2030-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_clock_that_is_ahead_delays_nothing(failed: str) -> None:
    run, now = followed_by(job_status=failed_at(failed)), parse_time(NOW)
    assert run is not None
    assert now is not None
    assert run.starts_at == now + delay(1)


def test_the_next_job_waits_longer_each_time_but_not_for_ever() -> None:
    failed_at = parse_time(EARLIER)
    assert failed_at is not None
    run = followed_by([CRASHED])
    assert run is not None
    assert run.starts_at == failed_at + timedelta(seconds=10)
    assert [delay(count).total_seconds() for count in (0, 1, 2, 3, 4, 5, 6, 7, 1000)] == [
        10, 10, 20, 40, 80, 160, 300, 300, 300,
    ]  # fmt: skip


@pytest.mark.parametrize(("exit_code", "failures"), [(1, 1), (75, 0)])
def test_a_failure_counts_although_another_container_goes_on(exit_code: int, failures: int) -> None:
    status = held_open(exit_code)
    status["containerStatuses"][0]["state"]["terminated"]["finishedAt"] = NOW
    run = followed_by([status], job_status={})
    assert run is not None
    assert (run.attempt, run.failures, run.starts_at) == (1, failures, datetime.fromisoformat(NOW) + delay(1))


@pytest.mark.parametrize("exit_code", [0, 78])
def test_an_end_is_followed_by_nothing_although_another_container_goes_on(exit_code: int) -> None:
    assert followed_by([held_open(exit_code)], job_status={}) is None
    assert followed_by([held_open(exit_code) | {"phase": "Failed"}]) is None


NOT_READY = [condition("Ready", "False", Reason.EVALUATOR_STARTING)]


@pytest.mark.parametrize(
    ("settled", "job_status", "pods", "conditions", "is_taken_over"),
    [
        (4, {}, [], NOT_READY, True),
        (4, {}, [ended(75)], NOT_READY, True),
        (3, {}, [], NOT_READY, False),
        (4, {"active": 1}, [], NOT_READY, False),
        (4, {}, [{"phase": "Pending"}], NOT_READY, False),
        (4, {}, [], [condition("Ready")], False),
        (4, FAILED, [], NOT_READY, False),
    ],
)
def test_a_job_that_has_settled_something_is_not_left_to_the_growing_delays_of_its_pods(
    settled: int, job_status: JsonObject, pods: list[JsonObject], conditions: list[JsonObject], *, is_taken_over: bool
) -> None:
    owner = evaluation(status={"results": {"counts": {"evaluated": settled}}, "conditions": conditions})
    parent = job(owner, **job_status)
    children = [Pod(pod(parent, f"pod-{number}", **status)) for number, status in enumerate(pods)]
    moment = taken_over_at(RUN, SidecarEvaluation(owner), Job(parent), children)
    assert moment == (datetime.fromisoformat(EARLIER) + LONGEST_PAUSE if is_taken_over else None)
