from typing import Any

import pytest

from sidecar_operator.conditions import Reason
from sidecar_operator.kube_objects import Job, JsonObject, Pod, WarningEvent, parse_time
from sidecar_operator.resource_view import SidecarEvaluation
from sidecar_operator.runs import Run
from sidecar_operator.training_state import Training
from sidecar_operator.training_status import State
from sidecar_operator.verdict import Observed, Verdict, decide
from unit.operator.support.samples import (
    RESULTS,
    TRAINING_REF,
    condition,
    evaluation,
    held_open,
    job,
    pod,
    running,
    terminated,
    waiting,
)

READY_POD: JsonObject = {"phase": "Running", "conditions": [condition("Ready")]}
STARTING_POD: JsonObject = {"phase": "Pending"}
FAILED_POD: JsonObject = {"phase": "Failed", "containerStatuses": [terminated(1, "boom")]}
MISCONFIGURED_POD: JsonObject = {"phase": "Failed", "containerStatuses": [terminated(78, "no module named evaluate")]}
EVICTED_POD: JsonObject = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "low on resource: memory",
    "conditions": [condition("DisruptionTarget", reason="TerminationByKubelet")],
}
UNPULLED_POD: JsonObject = {"phase": "Pending", "containerStatuses": [waiting("ErrImagePull", "not verdict")]}
COMPLETE: JsonObject = {"conditions": [condition("Complete")]}
FAILED: JsonObject = {"conditions": [condition("Failed", message="backoff limit")]}
REFUSED: JsonObject = {"conditions": [condition("Failed", reason="PodFailurePolicy", message="exit code 78")]}


def judged(
    pods: list[JsonObject] | None = None,
    job_status: JsonObject | None = None,
    spec: JsonObject | None = None,
    results: JsonObject | None = None,
    **observed: Any,
) -> Verdict:
    status = {"results": results} if results else {}
    owner = evaluation(spec, status)
    parent = job(owner, **(job_status or {}))
    children = [Pod(pod(parent, f"pod-{number}", **pod_status)) for number, pod_status in enumerate(pods or [])]
    return decide(Observed(SidecarEvaluation(owner), Job(parent), children, **observed))


WAITING = Training(TRAINING_REF, State.WAITING, "TFJob train waits, no pod of it runs")
PROGRESSING = [
    ({}, Reason.EVALUATOR_STARTING, "starting"),
    ({"refusal": "quota exceeded"}, Reason.REFUSED_BY_API_SERVER, "quota exceeded"),
    ({"is_replacing": True}, Reason.REPLACING_JOB, "the earlier evaluator is being stopped"),
    ({"training": WAITING, "awaits_training": True}, Reason.WAITING_FOR_TRAINING, "no pod of it runs"),
    ({"training": WAITING}, Reason.EVALUATOR_STARTING, "starting"),
    ({"pods": [STARTING_POD]}, Reason.EVALUATOR_STARTING, "starting"),
    ({"pods": [{"phase": "Running"}]}, Reason.EVALUATOR_STARTING, "spec.checkpoints.path"),
    ({"pods": [UNPULLED_POD]}, Reason.IMAGE_NOT_PULLED, "not verdict"),
    ({"pods": [FAILED_POD]}, Reason.EVALUATOR_CRASHED, "exit code 1: boom"),
    ({"pods": [{"phase": "Failed", "message": "evicted"}]}, Reason.EVALUATOR_CRASHED, "ended with evicted"),
    ({"pods": [EVICTED_POD]}, Reason.EVALUATOR_DISRUPTED, "Evicted: low on resource: memory"),
    ({"pods": [EVICTED_POD, STARTING_POD]}, Reason.EVALUATOR_DISRUPTED, "requests.memory"),
    ({"pods": [EVICTED_POD, UNPULLED_POD]}, Reason.IMAGE_NOT_PULLED, "not verdict"),
    ({"pods": [MISCONFIGURED_POD]}, Reason.CONFIGURATION_ERROR, "no module named evaluate"),
    ({"pods": [{"phase": "Running", "deleting": True}]}, Reason.EVALUATOR_STARTING, "being stopped"),
    ({"pods": [FAILED_POD, STARTING_POD]}, Reason.EVALUATOR_CRASHED, "boom"),
    ({"pods": [FAILED_POD, UNPULLED_POD]}, Reason.IMAGE_NOT_PULLED, "not verdict"),
    ({"warnings": [WarningEvent("FailedCreate", "exceeded quota")]}, Reason.PODS_REFUSED, "exceeded quota"),
]


@pytest.mark.parametrize(("observed", "reason", "says"), PROGRESSING)
def test_not_ready_and_not_over(observed: Any, reason: Reason, says: str) -> None:
    verdict = judged(**observed)
    assert verdict.reason is reason
    assert says in verdict.message
    assert (verdict.is_ready, verdict.is_progressing, verdict.has_ended) == (False, True, False)


def telling(reason: str, message: str = "/checkpoints/run does not exist", pod_name: str = "pod-0") -> JsonObject:
    return {"evaluator": {"pod": pod_name}, "problem": {"reason": reason, "message": message}}


@pytest.mark.parametrize("pods", [[{"phase": "Running"}], [READY_POD], [FAILED_POD, {"phase": "Running"}]])
@pytest.mark.parametrize("reason", [Reason.DIRECTORY_MISSING, Reason.CHECKPOINTS_UNREADABLE])
def test_what_is_in_the_evaluators_way_is_the_reason(pods: list[JsonObject], reason: Reason) -> None:
    verdict = judged(pods, results=telling(reason, pod_name=f"pod-{len(pods) - 1}"))
    assert (verdict.reason, verdict.is_ready, verdict.is_progressing) == (reason, False, True)
    assert "/checkpoints/run does not exist" in verdict.message


def test_an_evaluator_that_cannot_report_is_not_ready_whatever_it_said_or_failed_with_before() -> None:
    silent = {"phase": "Running", "containerStatuses": [running("2026-01-02T03:00:00Z")]}
    now = parse_time("2026-01-02T03:10:00Z")
    verdict = judged([FAILED_POD, silent], results=telling("DirectoryMissing", pod_name="pod-0"), now=now)
    assert (verdict.reason, verdict.is_ready, verdict.is_progressing) == (Reason.EVALUATOR_NOT_REPORTING, False, True)


@pytest.mark.parametrize("spec", [{}, {"readyWhen": "FirstEvaluation"}])
def test_what_is_there_instead_of_checkpoints_is_said_while_the_first_is_awaited(spec: JsonObject) -> None:
    verdict = judged([READY_POD], spec=spec, results=telling("NoCheckpoints", "/checkpoints/run is empty"))
    assert "/checkpoints/run is empty (spec.checkpoints.path is 'run'" in verdict.message
    assert verdict.is_ready is not bool(spec)


@pytest.mark.parametrize(
    ("pods", "results", "reason"),
    [
        ([{"phase": "Running"}], telling("DirectoryMissing", pod_name="pod-of-yesterday"), Reason.EVALUATOR_STARTING),
        ([FAILED_POD], telling("DirectoryMissing"), Reason.EVALUATOR_CRASHED),
        ([READY_POD], telling("Unheard"), Reason.EVALUATOR_RUNNING),
    ],
)
def test_what_another_pod_or_version_has_said_decides_nothing(
    pods: list[JsonObject], results: JsonObject, reason: Reason
) -> None:
    assert judged(pods, results=results).reason is reason


def test_an_end_without_a_checkpoint_says_what_was_in_the_way() -> None:
    results = telling("NoCheckpoints", "/checkpoints/run is empty") | {"ended": {"reason": "TrainingFinished"}}
    verdict = judged(job_status=COMPLETE, results=results)
    assert verdict.reason is Reason.NO_EVALUATION
    assert "/checkpoints/run is empty" in verdict.message


POLICY = {"conditions": [condition("Failed", reason="PodFailurePolicy", message="exit code 78, rule at index 0")]}


@pytest.mark.parametrize(
    ("pods", "job_status", "says"),
    [
        ([MISCONFIGURED_POD], FAILED, "no module named evaluate"),
        ([MISCONFIGURED_POD, FAILED_POD], FAILED, "no module named evaluate"),
        ([], POLICY, "rule at index 0"),
        ([FAILED_POD], POLICY, "sidecar-evaluator check"),
    ],
)
def test_a_configuration_error_is_said_by_any_pod_or_by_the_job(
    pods: list[JsonObject], job_status: JsonObject, says: str
) -> None:
    verdict = judged(pods=pods, job_status=job_status)
    assert (verdict.reason, verdict.succeeded) == (Reason.CONFIGURATION_ERROR, False)
    assert says in verdict.message


def test_suspended_is_neither_ready_nor_on_its_way() -> None:
    verdict = judged(spec={"suspend": True}, pods=[READY_POD], training=WAITING, awaits_training=True)
    assert (verdict.reason, verdict.is_ready, verdict.is_progressing) == (Reason.SUSPENDED, False, False)


FIRST = {"readyWhen": "FirstEvaluation"}
BROKEN = {"checkpoint": "ckpt-1", "outcome": "failed", "reason": "Incompatible", "message": "another architecture"}


@pytest.mark.parametrize(
    ("spec", "results", "reason", "is_ready"),
    [
        ({}, None, Reason.EVALUATOR_RUNNING, True),
        (FIRST, None, Reason.WAITING_FOR_FIRST_EVALUATION, False),
        (FIRST, {"counts": {"skipped": 1}}, Reason.WAITING_FOR_FIRST_EVALUATION, False),
        (FIRST, RESULTS, Reason.EVALUATED, True),
    ],
)
def test_ready_when(spec: JsonObject, results: JsonObject | None, reason: Reason, is_ready: bool) -> None:
    verdict = judged([READY_POD], spec=spec, results=results)
    assert (verdict.reason, verdict.is_ready) == (reason, is_ready)


@pytest.mark.parametrize("spec", [{}, FIRST])
def test_an_evaluator_that_could_evaluate_none_so_far_is_not_ready(spec: JsonObject) -> None:
    verdict = judged([READY_POD], spec=spec, results={"counts": {"failed": 8, "skipped": 1}, "history": [BROKEN]})
    assert (verdict.reason, verdict.is_ready, verdict.is_progressing) == (Reason.CHECKPOINTS_FAILED, False, True)
    assert "8 failed; the last: ckpt-1 failed (Incompatible): another architecture" in verdict.message


def test_a_failed_checkpoint_after_evaluated_ones_is_named() -> None:
    verdict = judged([READY_POD], results=RESULTS | {"history": [BROKEN]})
    assert (verdict.reason, verdict.is_ready) == (Reason.EVALUATOR_RUNNING, True)
    assert "ckpt-1 failed (Incompatible): another architecture" in verdict.message


@pytest.mark.parametrize("pods", [[READY_POD], [FAILED_POD, READY_POD], [{"phase": "Succeeded"}]])
def test_ready_through_a_restart_and_up_to_the_end(pods: list[JsonObject]) -> None:
    assert judged(pods).reason is Reason.EVALUATOR_RUNNING


@pytest.mark.parametrize(
    ("ended", "reason", "says"),
    [
        ("TrainingFinished", Reason.TRAINING_FINISHED, "training has finished"),
        ("MaxEvaluations", Reason.MAX_EVALUATIONS, "number of a checkpoint has reached spec.completion.maxEvaluations"),
        ("NoCheckpointTimeout", Reason.NO_CHECKPOINT_TIMEOUT, "noCheckpointTimeoutSeconds"),
    ],
)
def test_a_good_end_names_its_cause_and_the_last_score(ended: str, reason: Reason, says: str) -> None:
    verdict = judged(job_status=COMPLETE, results=RESULTS | {"ended": {"reason": ended}})
    assert (verdict.reason, verdict.is_ready, verdict.succeeded) == (reason, True, True)
    assert says in verdict.message
    assert "7 evaluated, the last ckpt-7 at step 700: accuracy=0.93" in verdict.message


@pytest.mark.parametrize(
    ("history", "says"),
    [
        ([], "spec.checkpoints"),
        ([BROKEN], "ckpt-1 failed (Incompatible): another architecture"),
        ([{"checkpoint": "ckpt-1", "outcome": "gone"}], "ckpt-1 gone"),
    ],
)
def test_an_end_without_any_evaluation_is_no_success(history: list[JsonObject], says: str) -> None:
    verdict = judged(job_status=COMPLETE, results={"ended": {"reason": "TrainingFinished"}, "history": history})
    assert (verdict.reason, verdict.is_ready, verdict.succeeded) == (Reason.NO_EVALUATION, False, False)
    assert says in verdict.message
    assert verdict.message.count("correct the cause") <= 1


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
def test_a_pod_that_has_drained_is_not_reported_as_starting(status: JsonObject, reason: Reason, is_ready: bool) -> None:
    ended = {"reason": "MaxEvaluations", "at": "2026-01-02T03:04:05.123456Z"}
    verdict = judged([status], results=RESULTS | {"ended": ended})
    assert (verdict.reason, verdict.is_ready, verdict.has_ended) == (reason, is_ready, False)


@pytest.mark.parametrize(
    ("pods", "reason", "says"),
    [
        ([MISCONFIGURED_POD], Reason.CONFIGURATION_ERROR, "no module named evaluate"),
        ([FAILED_POD], Reason.EVALUATOR_FAILED, "exit code 1: boom"),
        ([], Reason.EVALUATOR_FAILED, "backoff limit"),
        ([], Reason.CONFIGURATION_ERROR, "exit code 78"),
    ],
)
def test_a_bad_end_has_the_message_of_the_pod(pods: list[JsonObject], reason: Reason, says: str) -> None:
    verdict = judged(pods, job_status=REFUSED if says == "exit code 78" else FAILED)
    assert (verdict.reason, verdict.is_ready, verdict.succeeded) == (reason, False, False)
    assert says in verdict.message
    assert 'sidecareval.dev/restartedAt="$(date -Is)", or change the spec' in verdict.message


@pytest.mark.parametrize("job_status", [COMPLETE, REFUSED])
def test_an_end_counts_although_a_right_of_the_evaluator_is_refused(job_status: JsonObject) -> None:
    verdict = judged([], job_status, results=RESULTS, refusal="Role mnist-evaluator: exceeded quota")
    assert verdict.has_ended


def test_an_end_counts_although_another_container_goes_on() -> None:
    ended = {"ended": {"reason": "TrainingFinished"}}
    verdict = judged([held_open(0)], results=RESULTS | ended)
    assert (verdict.reason, verdict.succeeded) == (Reason.TRAINING_FINISHED, True)
    with_failed_proxy = {**held_open(0), "phase": "Failed"}
    assert judged([with_failed_proxy], results=RESULTS).succeeded is True
    assert judged([with_failed_proxy], job_status=FAILED, results=RESULTS).succeeded is True
    verdict = judged([held_open(78, "no module named evaluate")])
    assert (verdict.reason, verdict.succeeded) == (Reason.CONFIGURATION_ERROR, False)
    assert "no module named evaluate" in verdict.message
    verdict = judged([held_open(1, "boom")], next_run=NEXT_RUN)
    assert (verdict.reason, verdict.has_ended) == (Reason.EVALUATOR_CRASHED, False)
    assert "exit code 1: boom" in verdict.message


NEXT_RUN = Run(1, attempt=2, failures=5, starts_at=parse_time("2026-01-02T03:04:15Z"))


@pytest.mark.parametrize(
    ("pods", "run", "says"),
    [
        ([FAILED_POD], NEXT_RUN, ["exit code 1: boom", "2026-01-02T03:04:15Z", "restart 2", "5 failures of 7"]),
        ([], Run(1, attempt=9), ["was stopped", "is started again, restart 9"]),
    ],
)
def test_a_failure_that_another_run_follows_is_no_end(pods: list[JsonObject], run: Run, says: list[str]) -> None:
    verdict = judged(pods, job_status=FAILED, next_run=run)
    assert (verdict.reason, verdict.is_progressing, verdict.has_ended) == (Reason.EVALUATOR_CRASHED, True, False)
    assert [words for words in says if words not in verdict.message] == []
    assert judged(pods, job_status=FAILED, next_run=run, spec={"suspend": True}).reason is Reason.SUSPENDED


@pytest.mark.parametrize(("attempt", "is_kept"), [(2, True), (1, False)])
def test_what_was_said_of_a_pod_that_is_deleted_stays(attempt: int, *, is_kept: bool) -> None:
    owner = evaluation(
        status={
            "conditions": [condition("Ready", "False", Reason.EVALUATOR_CRASHED, "boom")],
            "run": {"attempt": attempt},
        }
    )
    verdict = decide(Observed(SidecarEvaluation(owner), next_run=NEXT_RUN))
    assert (verdict.message == "boom") is is_kept
    assert verdict.reason is Reason.EVALUATOR_CRASHED


@pytest.mark.parametrize("ended", [{}, {"reason": "Bored"}, {"reason": "ImageNotPulled"}, {"reason": 5}])
def test_an_unknown_way_to_end_is_just_completed(ended: JsonObject) -> None:
    assert judged(job_status=COMPLETE, results=RESULTS | {"ended": ended}).reason is Reason.COMPLETED
    assert judged(job_status=COMPLETE, results=RESULTS).reason is Reason.COMPLETED


@pytest.mark.parametrize(
    ("pods", "job_status", "command"),
    [
        ([FAILED_POD], {}, "kubectl logs pod-0 -n team"),
        ([FAILED_POD], FAILED, "kubectl logs pod-0 -n team"),
        ([], FAILED, "kubectl describe job mnist-0a1b2c3d -n team"),
    ],
)
def test_a_failure_names_the_command_that_shows_more(
    pods: list[JsonObject], job_status: JsonObject, command: str
) -> None:
    assert command in judged(pods, job_status=job_status).message
