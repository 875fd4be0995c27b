from typing import Any

import pytest

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Object
from sidecar_operator.pod_diagnosis import Warned
from sidecar_operator.verdict import Observed, Verdict, verdict
from unit.operator.support.samples import RESULTS, condition, evaluation, job, pod, terminated, waiting

READY_POD: Object = {"phase": "Running", "conditions": [condition("Ready")]}
STARTING_POD: Object = {"phase": "Pending"}
FAILED_POD: Object = {"phase": "Failed", "containerStatuses": [terminated(1, "boom")]}
MISCONFIGURED_POD: Object = {"phase": "Failed", "containerStatuses": [terminated(78, "no module named evaluate")]}
UNPULLED_POD: Object = {"phase": "Pending", "containerStatuses": [waiting("ErrImagePull", "not found")]}
COMPLETE: Object = {"conditions": [condition("Complete")]}
FAILED: Object = {"conditions": [condition("Failed", message="backoff limit")]}


def judged(
    pods: list[Object] | None = None,
    job_status: Object | None = None,
    spec: Object | None = None,
    results: Object | None = None,
    **observed: Any,
) -> Verdict:
    status = {"results": results} if results else {}
    owner = evaluation(spec, status)
    parent = job(owner, **(job_status or {}))
    children = [pod(parent, f"pod-{number}", **found) for number, found in enumerate(pods or [])]
    return verdict(Observed(owner, parent, children, **observed))


PROGRESSING = [
    ({}, Reason.EVALUATOR_STARTING, "starting"),
    ({"refusal": "quota exceeded"}, Reason.REFUSED_BY_API_SERVER, "quota exceeded"),
    ({"is_replacing": True}, Reason.REPLACING_JOB, "kept"),
    ({"pods": [STARTING_POD]}, Reason.EVALUATOR_STARTING, "starting"),
    ({"pods": [{"phase": "Running"}]}, Reason.EVALUATOR_STARTING, "spec.checkpoints.path"),
    ({"pods": [UNPULLED_POD]}, Reason.IMAGE_NOT_PULLED, "not found"),
    ({"pods": [FAILED_POD]}, Reason.EVALUATOR_CRASHED, "exit code 1: boom"),
    ({"pods": [{"phase": "Failed", "message": "evicted"}]}, Reason.EVALUATOR_CRASHED, "ended with evicted"),
    ({"pods": [MISCONFIGURED_POD]}, Reason.CONFIGURATION_ERROR, "no module named evaluate"),
    ({"pods": [{"phase": "Running", "deleting": True}]}, Reason.EVALUATOR_STARTING, "being stopped"),
    ({"pods": [FAILED_POD, STARTING_POD]}, Reason.EVALUATOR_CRASHED, "boom"),
    ({"pods": [FAILED_POD, UNPULLED_POD]}, Reason.IMAGE_NOT_PULLED, "not found"),
    ({"warnings": [Warned("FailedCreate", "exceeded quota")]}, Reason.PODS_REFUSED, "exceeded quota"),
]


@pytest.mark.parametrize(("given", "reason", "says"), PROGRESSING)
def test_not_ready_and_not_over(given: Any, reason: Reason, says: str) -> None:
    found = judged(**given)
    assert found.reason is reason
    assert says in found.message
    assert (found.is_ready, found.is_progressing, found.has_ended) == (False, True, False)


def test_suspended_is_neither_ready_nor_on_its_way() -> None:
    found = judged(spec={"suspend": True}, pods=[READY_POD])
    assert (found.reason, found.is_ready, found.is_progressing) == (Reason.SUSPENDED, False, False)


FIRST = {"readyWhen": "FirstEvaluation"}


@pytest.mark.parametrize(
    ("spec", "results", "reason", "is_ready"),
    [
        ({}, None, Reason.EVALUATOR_RUNNING, True),
        (FIRST, None, Reason.WAITING_FOR_FIRST_EVALUATION, False),
        (FIRST, {"counts": {"skipped": 1}}, Reason.WAITING_FOR_FIRST_EVALUATION, False),
        (FIRST, RESULTS, Reason.EVALUATED, True),
    ],
)
def test_ready_when(spec: Object, results: Object | None, reason: Reason, is_ready: bool) -> None:
    found = judged([READY_POD], spec=spec, results=results)
    assert (found.reason, found.is_ready) == (reason, is_ready)


@pytest.mark.parametrize("pods", [[READY_POD], [FAILED_POD, READY_POD], [{"phase": "Succeeded"}]])
def test_ready_through_a_restart_and_up_to_the_end(pods: list[Object]) -> None:
    assert judged(pods).reason is Reason.EVALUATOR_RUNNING


@pytest.mark.parametrize(
    ("ended", "reason", "says"),
    [
        ("TrainingFinished", Reason.TRAINING_FINISHED, "training has finished"),
        ("MaxEvaluations", Reason.MAX_EVALUATIONS, "maxEvaluations"),
        ("NoCheckpointTimeout", Reason.NO_CHECKPOINT_TIMEOUT, "noCheckpointTimeoutSeconds"),
    ],
)
def test_a_good_end_names_its_cause_and_the_last_score(ended: str, reason: Reason, says: str) -> None:
    found = judged(job_status=COMPLETE, results=RESULTS | {"ended": {"reason": ended}})
    assert (found.reason, found.is_ready, found.succeeded) == (reason, True, True)
    assert says in found.message
    assert "7 evaluated, the last ckpt-7 at step 700: accuracy=0.93" in found.message


BROKEN = {"checkpoint": "ckpt-1", "outcome": "failed", "reason": "Incompatible", "message": "another architecture"}


@pytest.mark.parametrize(
    ("history", "says"),
    [
        ([], "spec.checkpoints"),
        ([BROKEN], "ckpt-1 failed (Incompatible): another architecture"),
        ([{"checkpoint": "ckpt-1", "outcome": "gone"}], "ckpt-1 gone"),
    ],
)
def test_an_end_without_any_evaluation_is_no_success(history: list[Object], says: str) -> None:
    found = judged(job_status=COMPLETE, results={"ended": {"reason": "TrainingFinished"}, "history": history})
    assert (found.reason, found.is_ready, found.succeeded) == (Reason.NO_EVALUATION, False, False)
    assert says in found.message


BEFORE, AFTER = {"startTime": "2026-01-02T03:00:00Z"}, {"startTime": "2026-01-02T03:04:07Z"}


@pytest.mark.parametrize(
    ("status", "reason", "is_ready"),
    [
        (READY_POD | BEFORE, Reason.EVALUATOR_DRAINED, True),
        ({"phase": "Running"} | BEFORE, Reason.EVALUATOR_DRAINED, True),
        ({"phase": "Succeeded"} | BEFORE, Reason.EVALUATOR_DRAINED, True),
        (FAILED_POD | BEFORE, Reason.EVALUATOR_CRASHED, False),
        ({"phase": "Running"} | AFTER, Reason.EVALUATOR_STARTING, False),
        (READY_POD | AFTER, Reason.EVALUATOR_RUNNING, True),
    ],
)
def test_a_pod_that_has_drained_is_not_said_to_be_starting(status: Object, reason: Reason, is_ready: bool) -> None:
    ended = {"reason": "MaxEvaluations", "at": "2026-01-02T03:04:05.123456Z"}
    found = judged([status], results=RESULTS | {"ended": ended})
    assert (found.reason, found.is_ready, found.has_ended) == (reason, is_ready, False)


@pytest.mark.parametrize(
    ("pods", "reason", "says"),
    [
        ([MISCONFIGURED_POD], Reason.CONFIGURATION_ERROR, "no module named evaluate"),
        ([FAILED_POD], Reason.EVALUATOR_FAILED, "exit code 1: boom"),
        ([], Reason.EVALUATOR_FAILED, "backoff limit"),
    ],
)
def test_a_bad_end_has_the_last_words_of_the_pod(pods: list[Object], reason: Reason, says: str) -> None:
    found = judged(pods, job_status=FAILED)
    assert (found.reason, found.is_ready, found.succeeded) == (reason, False, False)
    assert says in found.message
    assert "change the spec or recreate the resource" in found.message


def test_an_unknown_way_to_end_is_just_completed() -> None:
    assert judged(job_status=COMPLETE, results=RESULTS).reason is Reason.COMPLETED
