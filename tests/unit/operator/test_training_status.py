"""Statuses as the kinds in use write them, and what each says."""

from typing import Any

import pytest

from sidecar_operator.kube_objects import JsonObject, KubeObject
from sidecar_operator.training_status import Reading, State, read
from unit.operator.support.samples import EARLIER, condition

Row = tuple[str, Any, State]
"""What is going on, the status, and what it says."""
STARTED = {"startTime": EARLIER}
ENDED = {"startTime": EARLIER, "completionTime": EARLIER}


def of(status: Any) -> Reading:
    return read(KubeObject({"kind": "Training", "status": status}))


def with_conditions(*conditions: JsonObject, **status: Any) -> JsonObject:
    return {"conditions": list(conditions), **status}


JOB: list[Row] = [
    ("not seen by the controller", {}, State.WAITING),
    ("its pod is pending", STARTED | {"active": 1, "ready": 0, "terminating": 0}, State.WAITING),
    ("its pod runs", STARTED | {"active": 1, "ready": 1, "terminating": 0}, State.RUNNING),
    ("between two pods", STARTED | {"failed": 1, "ready": 0, "terminating": 0}, State.WAITING),
    ("one of several is done, the others wait", STARTED | {"active": 1, "ready": 0, "succeeded": 1}, State.WAITING),
    ("suspended", with_conditions(condition("Suspended", reason="JobSuspended")), State.SUSPENDED),
    (
        "complete",
        with_conditions(condition("SuccessCriteriaMet"), condition("Complete"), ready=0, succeeded=1) | ENDED,
        State.SUCCEEDED,
    ),
    (
        "failed",
        with_conditions(condition("FailureTarget"), condition("Failed", reason="BackoffLimitExceeded"), ready=0),
        State.FAILED,
    ),
]
CREATED = condition("Created", reason="TFJobCreated")
TFJOB: list[Row] = [
    ("created", with_conditions(CREATED, replicaStatuses={}), State.WAITING),
    ("its pods are pending", with_conditions(CREATED, replicaStatuses={"Chief": {}, "Worker": {}}), State.WAITING),
    (
        "a worker runs",
        with_conditions(CREATED, condition("Running"), replicaStatuses={"Chief": {}, "Worker": {"active": 1}}),
        State.RUNNING,
    ),
    (
        "its pods wait again, after it had run",
        with_conditions(CREATED, condition("Running"), replicaStatuses={"Worker": {"failed": 1}}),
        State.WAITING,
    ),
    (
        "suspended",
        with_conditions(CREATED, condition("Running", "False"), condition("Suspended"), replicaStatuses={"Worker": {}}),
        State.SUSPENDED,
    ),
    (
        "succeeded",
        with_conditions(
            CREATED, condition("Running", "False"), condition("Succeeded"), replicaStatuses={"Worker": {"succeeded": 1}}
        ),
        State.SUCCEEDED,
    ),
    (
        "failed",
        with_conditions(
            CREATED, condition("Running", "False"), condition("Failed"), replicaStatuses={"Worker": {"failed": 1}}
        ),
        State.FAILED,
    ),
]
PREPARING = {"name": "dataset-initializer", "ready": 1, "active": 1, "succeeded": 0, "failed": 0, "suspended": 0}
NODE = {"name": "node", "ready": 0, "active": 1, "succeeded": 0, "failed": 0, "suspended": 0}
TRAINJOB: list[Row] = [
    ("its nodes are pending", {"jobsStatus": [NODE]}, State.WAITING),
    ("only its data is being prepared", {"jobsStatus": [PREPARING, NODE]}, State.WAITING),
    ("its nodes run", {"jobsStatus": [PREPARING, NODE | {"ready": 1}]}, State.RUNNING),
    ("suspended", with_conditions(condition("Suspended"), jobsStatus=[NODE | {"active": 0}]), State.SUSPENDED),
    ("complete", with_conditions(condition("Complete", reason="JobsCompleted"), jobsStatus=[NODE]), State.SUCCEEDED),
    ("failed", with_conditions(condition("Failed", reason="JobsFailed"), jobsStatus=[NODE]), State.FAILED),
]
JOBSET: list[Row] = [
    ("its pods are pending", {"restarts": 0, "replicatedJobsStatus": [NODE]}, State.WAITING),
    ("its pods run", {"restarts": 0, "replicatedJobsStatus": [NODE | {"ready": 1}]}, State.RUNNING),
    ("resumed", with_conditions(condition("Suspended", "False"), replicatedJobsStatus=[NODE]), State.WAITING),
    ("completed", with_conditions(condition("Completed"), terminalState="Completed"), State.SUCCEEDED),
    ("failed", with_conditions(condition("Failed"), terminalState="Failed"), State.FAILED),
]
RUNS, RUNS_NOT = condition("PodRunning"), condition("PodRunning", "False")
COMPLETED = condition("Completed")
WORKFLOW: list[Row] = [
    ("its pod is pending", with_conditions(RUNS_NOT, phase="Running", progress="0/1"), State.WAITING),
    ("its pod runs", with_conditions(RUNS, phase="Running", progress="0/1"), State.RUNNING),
    ("succeeded", with_conditions(RUNS_NOT, COMPLETED, phase="Succeeded", finishedAt=EARLIER), State.SUCCEEDED),
    ("failed", with_conditions(RUNS_NOT, COMPLETED, phase="Failed", finishedAt=EARLIER), State.FAILED),
    ("in error", with_conditions(RUNS_NOT, COMPLETED, phase="Error", finishedAt=EARLIER), State.FAILED),
]
TEKTON: list[Row] = [
    ("just started", with_conditions(condition("Succeeded", "Unknown", "Started")) | STARTED, State.WAITING),
    ("its pod is pending", with_conditions(condition("Succeeded", "Unknown", "Pending")) | STARTED, State.WAITING),
    (
        "no node has room",
        with_conditions(condition("Succeeded", "Unknown", "ExceededNodeResources")) | STARTED,
        State.WAITING,
    ),
    ("it runs", with_conditions(condition("Succeeded", "Unknown", "Running")) | STARTED, State.RUNNING),
    ("succeeded", with_conditions(condition("Succeeded", reason="Succeeded")) | ENDED, State.SUCCEEDED),
    ("failed", with_conditions(condition("Succeeded", "False", "Failed")), State.FAILED),
    ("timed out", with_conditions(condition("Succeeded", "False", "TaskRunTimeout")) | ENDED, State.FAILED),
    ("not so far", with_conditions(condition("Succeeded", "False", "NotYet")), State.RUNNING),
]
RAYJOB: list[Row] = [
    ("the cluster starts", {"jobDeploymentStatus": "Initializing", "succeeded": 0, "failed": 0}, State.WAITING),
    ("it runs", {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "succeeded": 0}, State.RUNNING),
    ("suspended", {"jobDeploymentStatus": "Suspended"}, State.SUSPENDED),
    ("it is tried again", {"jobDeploymentStatus": "Retrying", "jobStatus": "", "failed": 1}, State.WAITING),
    ("succeeded", {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "succeeded": 1}, State.SUCCEEDED),
    ("failed", {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "endTime": EARLIER}, State.FAILED),
    ("its job failed", {"jobDeploymentStatus": "Complete", "jobStatus": "FAILED"}, State.FAILED),
    ("its job was stopped", {"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"}, State.FAILED),
]
VOLCANO: list[Row] = [
    ("pending", {"state": {"phase": "Pending"}, "pending": 1, "conditions": [{"status": "Pending"}]}, State.WAITING),
    ("running", {"state": {"phase": "Running"}, "running": 2, "conditions": [{"status": "Running"}]}, State.RUNNING),
    ("suspended", {"state": {"phase": "Aborted"}, "conditions": [{"status": "Aborted"}]}, State.SUSPENDED),
    ("being stopped", {"state": {"phase": "Terminating"}, "terminating": 1}, State.RUNNING),
    ("completed", {"state": {"phase": "Completed"}, "succeeded": 2}, State.SUCCEEDED),
    ("terminated", {"state": {"phase": "Terminated"}, "failed": 1}, State.FAILED),
    ("failed", {"state": {"phase": "Failed"}, "failed": 3}, State.FAILED),
]
SPARK: list[Row] = [
    ("submitted", {"applicationState": {"state": "SUBMITTED"}}, State.WAITING),
    ("running", {"applicationState": {"state": "RUNNING"}}, State.RUNNING),
    ("about to fail or to be tried again", {"applicationState": {"state": "FAILING"}}, State.RUNNING),
    ("tried again", {"applicationState": {"state": "PENDING_RERUN"}}, State.WAITING),
    ("completed", {"applicationState": {"state": "COMPLETED"}, "terminationTime": EARLIER}, State.SUCCEEDED),
    ("failed", {"applicationState": {"state": "FAILED", "errorMessage": "driver"}}, State.FAILED),
]
UNKNOWN: list[Row] = [
    ("none", None, State.WAITING),
    ("nothing in it", {"conditions": None, "replicas": 0}, State.WAITING),
    ("usual conditions only", with_conditions(condition("Failed", "False")), State.RUNNING),
    ("a text", "Done", State.UNKNOWN),
    ("conditions of no list", {"conditions": {"Succeeded": "True"}}, State.UNKNOWN),
    ("conditions of no object", {"conditions": ["Succeeded"]}, State.UNKNOWN),
    ("conditions of its own", with_conditions(condition("Ready")), State.UNKNOWN),
    ("a phase of its own", {"phase": "Dancing"}, State.UNKNOWN),
    ("a generation", {"observedGeneration": 3}, State.UNKNOWN),
]
KINDS: dict[str, list[Row]] = {
    "Job": JOB,
    "TFJob": TFJOB,
    "TrainJob": TRAINJOB,
    "JobSet": JOBSET,
    "Workflow": WORKFLOW,
    "TaskRun": TEKTON,
    "RayJob": RAYJOB,
    "VolcanoJob": VOLCANO,
    "SparkApplication": SPARK,
    "unknown": UNKNOWN,
}
CASES = [
    pytest.param(status, state, id=f"{kind}: {name}") for kind, rows in KINDS.items() for name, status, state in rows
]


@pytest.mark.parametrize(("status", "state"), CASES)
def test_a_status_is_read(status: Any, state: State) -> None:
    assert of(status).state is state


@pytest.mark.parametrize(
    ("status", "reading"),
    [
        (with_conditions(condition("Failed", message=" boom ")), Reading(State.FAILED, "boom", EARLIER)),
        (with_conditions(condition("Failed", reason="Limit")), Reading(State.FAILED, "Limit", EARLIER)),
        (
            {"phase": "Error", "message": "no template", "finishedAt": EARLIER},
            Reading(State.FAILED, "no template", EARLIER),
        ),
        ({"phase": "Failed"}, Reading(State.FAILED, "Failed")),
        (
            {"state": {"phase": "Failed", "message": "too often", "lastTransitionTime": EARLIER}},
            Reading(State.FAILED, "too often", EARLIER),
        ),
        (
            {"applicationState": {"state": "FAILED", "errorMessage": "driver"}, "terminationTime": EARLIER},
            Reading(State.FAILED, "driver", EARLIER),
        ),
        (
            with_conditions(condition("Succeeded", "Unknown", "Pending", "0/1 nodes are available")),
            Reading(State.WAITING, "0/1 nodes are available"),
        ),
    ],
)
def test_the_words_and_the_time_of_the_training_are_kept(status: JsonObject, reading: Reading) -> None:
    assert of(status) == reading
