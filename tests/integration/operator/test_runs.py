"""A run from its start to its end: suspended, replaced, completed, followed by nothing."""

import pytest

from cluster.api_server import ApiServer
from cluster.client import Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import RUNNING, Node
from integration.operator.process import OperatorProcess

RESULTS: Object = {
    "latest": {"checkpoint": "ckpt-7", "step": 700, "outcome": "evaluated", "score": "accuracy=0.93"},
    "counts": {"evaluated": 7},
    "ended": {"reason": "TrainingFinished", "at": "2026-01-01T00:00:00Z"},
}


def test_suspend_stops_the_job_and_resume_goes_on(
    evaluations: Evaluations, watcher: Watcher, node: Node, running: Object
) -> None:
    name = node.jobs()[0]["metadata"]["name"]
    evaluations.update({"spec": {"suspend": True}})
    watcher.until("Ready", "False", "Suspended")
    assert node.jobs()[0]["spec"]["suspend"] is True
    evaluations.update({"spec": {"suspend": False}})
    watcher.until("Ready", "True", "EvaluatorRunning")
    assert [(job["metadata"]["name"], job["spec"]["suspend"]) for job in node.jobs()] == [(name, False)]


def test_a_changed_spec_replaces_the_job_and_keeps_the_results(
    evaluations: Evaluations, watcher: Watcher, node: Node, running: Object
) -> None:
    old = node.jobs()[0]["metadata"]["name"]
    evaluations.apply_status({"results": RESULTS}, "sidecar-evaluator")
    evaluations.update({"spec": {"evaluator": {"steps": 5}}})
    watcher.until("Ready", "False", "ReplacingJob")
    watcher.until_true(lambda: "deletionTimestamp" in node.jobs()[0]["metadata"])
    assert [job["metadata"]["name"] for job in node.jobs()] == [old]  # never two at a time
    node.collect()
    watcher.until("Ready", "False", "EvaluatorStarting")
    (new,) = node.jobs()
    assert new["metadata"]["name"] != old
    assert "--steps=5" in new["spec"]["template"]["spec"]["containers"][0]["args"]
    assert watcher.status()["results"] == RESULTS
    assert watcher.status()["job"] == new["metadata"]["name"]


def test_a_completed_job_is_the_end_and_stays_it(
    evaluations: Evaluations, watcher: Watcher, node: Node, running: Object
) -> None:
    evaluations.apply_status({"results": RESULTS}, "sidecar-evaluator")
    node.end_job("Complete")
    condition = watcher.until("Succeeded", "True", "TrainingFinished")
    assert "7 evaluated, the last ckpt-7 at step 700: accuracy=0.93" in condition["message"]
    assert watcher.condition("Finished")["status"] == watcher.condition("Ready")["status"] == "True"
    node.delete("/apis/batch/v1", "jobs", node.jobs()[0])
    evaluations.update({"spec": {"suspend": True}})
    watcher.until_true(lambda: watcher.status()["observedGeneration"] == 2)
    assert watcher.condition("Succeeded")["observedGeneration"] == 2
    assert node.jobs() == []


def test_an_end_without_a_score_is_no_success(watcher: Watcher, node: Node, running: Object) -> None:
    node.end_job("Complete")
    watcher.until("Succeeded", "False", "NoEvaluation")
    assert watcher.condition("Stalled")["status"] == "True"


def test_ready_may_wait_for_the_first_evaluation(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create({"readyWhen": "FirstEvaluation"})
    watcher.until_true(node.jobs)
    node.run_pod(RUNNING)
    watcher.until("Ready", "False", "WaitingForFirstEvaluation")
    evaluations.apply_status({"results": {"counts": {"evaluated": 1}}}, "sidecar-evaluator")
    watcher.until("Ready", "True", "Evaluated")


@pytest.mark.usefixtures("running")
def test_events_are_recorded_on_transitions_only(
    operator: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    def reasons() -> list[str]:
        events = node.client.get(f"/api/v1/namespaces/{node.namespace}/events")["items"]
        return sorted(event["reason"] for event in events if event["involvedObject"]["kind"] == "SidecarEvaluation")

    watcher.until_true(reasons)
    passes = operator.metric("sidecareval_operator_reconcile_total") or 0
    watcher.until_true(lambda: (operator.metric("sidecareval_operator_reconcile_total") or 0) > passes + 20)
    assert reasons() == ["EvaluatorRunning"]
    evaluations.apply_status({"results": RESULTS}, "sidecar-evaluator")
    node.end_job("Complete")
    watcher.until_true(lambda: len(reasons()) == 2)
    assert reasons() == ["EvaluatorRunning", "TrainingFinished"]


def test_scores_are_exported_and_go_with_the_resource(
    operator: OperatorProcess, evaluations: Evaluations, watcher: Watcher, node: Node, running: Object
) -> None:
    metrics = [{"name": "accuracy", "dataset": "val", "value": "0.93"}]
    latest = RESULTS["latest"] | {"metrics": metrics}
    evaluations.apply_status({"results": RESULTS | {"latest": latest}}, "sidecar-evaluator")

    def score() -> float | None:
        return operator.metric("sidecareval_resource_score", namespace=node.namespace, metric="accuracy")

    watcher.until_true(lambda: score() == 0.93)
    evaluations.client.request("DELETE", evaluations.path("mnist"))
    watcher.until_true(lambda: score() is None)


def delete_evaluations_of_others(server: ApiServer, namespace: str) -> None:
    root = "/apis/sidecareval.dev/v1alpha1"
    listed = server.client.get(f"{root}/sidecarevaluations")["items"]
    for other in {obj["metadata"]["namespace"] for obj in listed} - {namespace}:
        server.client.request("DELETE", f"{root}/namespaces/{other}/sidecarevaluations")


def test_a_reader_of_the_api_sees_no_write_at_rest(
    server: ApiServer, operator: OperatorProcess, watcher: Watcher, node: Node, running: Object
) -> None:
    def writes() -> float:
        changing = ('verb="PATCH"', 'verb="APPLY"', 'verb="POST"', 'verb="PUT"', 'verb="DELETE"')
        ours = ("sidecarevaluations", "jobs", "serviceaccounts", "roles", "rolebindings", "events")
        lines = str(server.client.get("/metrics")).splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith("apiserver_request_total{")
            and any(verb in line for verb in changing)
            and any(f'resource="{resource}"' in line for resource in ours)
        )

    delete_evaluations_of_others(server, node.namespace)  # a delayed pass over one of them may write
    events = f"/api/v1/namespaces/{node.namespace}/events"
    watcher.until_true(lambda: server.client.get(events)["items"])
    before = writes()
    assert before > 0
    passes = operator.metric("sidecareval_operator_reconcile_total") or 0
    watcher.until_true(lambda: (operator.metric("sidecareval_operator_reconcile_total") or 0) > passes + 20)
    assert writes() == before


@pytest.mark.parametrize("ending", [(0, "TrainingFinished"), (78, "ConfigurationError")], ids=lambda ending: ending[1])
def test_an_annotation_runs_what_has_ended_again(
    evaluations: Evaluations, watcher: Watcher, node: Node, running: Object, ending: tuple[int, str]
) -> None:
    exit_code, reason = ending
    evaluations.apply_status({"results": RESULTS}, "sidecar-evaluator")
    end = {"exitCode": exit_code, "reason": "Ended", "message": "no module named evaluate"}
    phase = "Failed" if exit_code else "Succeeded"
    container = RUNNING["containerStatuses"][0] | {"state": {"terminated": end}, "ready": False}
    node.set_pod_status(running, {"phase": phase, "containerStatuses": [container]})
    node.end_job("Failed" if exit_code else "Complete")
    watcher.until("Finished", "True", reason)
    (old,) = node.jobs()
    restart = {"sidecareval.dev/restartedAt": "2026-01-02T03:04:05+01:00"}
    evaluations.update({"metadata": {"annotations": restart}})
    watcher.until("Finished", "False", "NotFinished")
    watcher.until_true(lambda: "deletionTimestamp" in node.jobs()[0]["metadata"])
    node.collect()
    watcher.until("Ready", "False", "EvaluatorStarting")
    assert watcher.condition("Succeeded")["status"] == "Unknown"
    assert watcher.condition("Stalled") == {}
    (new,) = node.jobs()
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    arguments = new["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--retry-failed-before=2026-01-02T02:04:05Z" in arguments
    assert watcher.status()["results"] == RESULTS
    assert watcher.status()["run"]["restartedAt"] == "2026-01-02T02:04:05Z"
    node.run_pod(RUNNING)  # the end that the results still tell of is that of the earlier run
    watcher.until("Ready", "True", "EvaluatorRunning")
    assert watcher.condition("Finished")["status"] == "False"
