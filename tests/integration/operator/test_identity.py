"""Another object under the same name is another object: nothing that was learned of one is said of the other."""

import itertools
from datetime import UTC, datetime

import pytest

from cluster.client import Client, Object
from integration.evaluations import Evaluations
from integration.operator.conftest import Watcher
from integration.operator.node import Node
from integration.operator.test_training import (
    JOB_REF,
    end_training_job,
    run_training_job,
    training_job,
    until_training,
)

MISCONFIGURED: Object = {
    "phase": "Failed",
    "containerStatuses": [
        {
            "name": "evaluator",
            "image": "i",
            "imageID": "i",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": {"exitCode": 78, "message": "no module named evaluate"}},
        }
    ],
}


class Trainings:
    """The training Jobs of one namespace."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._client: Client = node.client
        self.collection = f"/apis/batch/v1/namespaces/{node.namespace}/jobs"
        self.path = f"{self.collection}/train"

    def create(self, *finalizers: str) -> str:
        """Create the training, let it run, and return its uid."""
        job = training_job()
        created: Object = self._client.post(
            self.collection, {**job, "metadata": {**job["metadata"], "finalizers": list(finalizers)}}
        )
        run_training_job(self._node, self.path)
        uid: str = created["metadata"]["uid"]
        return uid

    def delete(self) -> None:
        """Delete the training; one with finalizers stays for the present."""
        self._client.request("DELETE", self.path, {"propagationPolicy": "Background"})

    def remove_finalizers(self) -> None:
        """Let a training that is being deleted go."""
        self._client.request("PATCH", self.path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")

    def end(self) -> None:
        """Report that the training has succeeded."""
        end_training_job(self._node, self.path, "Complete")


@pytest.fixture
def trainings(node: Node) -> Trainings:
    return Trainings(node)


def until_followed(watcher: Watcher, uid: str, state: str) -> None:
    watcher.until_true(lambda: watcher.status().get("training", {}).get("uid") == uid)
    until_training(watcher, state)


def complete(evaluations: Evaluations, node: Node, **results: object) -> None:
    """Let the evaluator end because training has ended."""
    now = datetime.now(UTC).isoformat()
    ended = {"ended": {"reason": "TrainingFinished", "at": now}, **results}
    evaluations.apply_status({"results": ended}, "sidecar-evaluator")
    node.end_job("Complete")


def test_a_resource_made_anew_gets_nothing_of_its_predecessor(
    evaluations: Evaluations, watcher: Watcher, node: Node
) -> None:
    for attempt in range(5):  # the end of the first may reach the operator before or after the second exists
        make_anew(evaluations, watcher, node, f"mnist-{attempt}")


def make_anew(evaluations: Evaluations, watcher: Watcher, node: Node, name: str) -> None:
    """Delete a resource whose evaluator has just ended, create it again, and look what is said of the new one."""
    evaluations.create(name=name)
    watcher.until_true(lambda: node.jobs(name))
    evaluations.apply_status({"results": {"counts": {"evaluated": 1}}}, "sidecar-evaluator", name)
    node.end_job("Complete", name=name)
    evaluations.client.request("DELETE", evaluations.path(name))
    uid = evaluations.create(name=name)["metadata"]["uid"]
    watcher.until_true(lambda: watcher.condition("Ready", name))
    assert evaluations.read(name)["metadata"]["uid"] == uid
    assert watcher.condition("Finished", name)["status"] == "False"
    assert "results" not in watcher.status(name)


def test_a_training_that_is_being_deleted_is_not_followed(
    evaluations: Evaluations, watcher: Watcher, node: Node, trainings: Trainings
) -> None:
    trainings.create("example.dev/hold")
    trainings.end()
    trainings.delete()
    evaluations.create({"trainingRef": JOB_REF})
    watcher.until("TrainingFinished", "False", "TrainingBeingDeleted")
    assert watcher.status()["training"]["state"] == "Pending"
    trainings.remove_finalizers()
    watcher.until("TrainingFinished", "False", "TrainingNotFound")
    until_followed(watcher, trainings.create(), "Running")


def test_a_training_that_is_replaced_is_followed(
    evaluations: Evaluations, watcher: Watcher, node: Node, trainings: Trainings
) -> None:
    trainings.create()
    evaluations.create({"trainingRef": JOB_REF})
    until_training(watcher, "Running")
    trainings.delete()
    until_training(watcher, "Gone")
    second = trainings.create()
    until_followed(watcher, second, "Running")
    assert "finishedAt" not in watcher.status()["training"]
    assert watcher.condition("TrainingFinished")["status"] == "False"
    trainings.end()
    until_followed(watcher, second, "Succeeded")


def test_an_evaluation_made_beside_a_new_training_never_sees_the_old_one(
    evaluations: Evaluations, watcher: Watcher, node: Node, trainings: Trainings
) -> None:
    for _ in itertools.repeat(None, 3):
        trainings.create()
        evaluations.create({"trainingRef": JOB_REF})
        trainings.end()
        until_training(watcher, "Succeeded")
        evaluations.client.request("DELETE", evaluations.path("mnist"))
        for job in node.jobs():
            node.delete("/apis/batch/v1", "jobs", job)
        trainings.delete()
        second = trainings.create()
        evaluations.create({"trainingRef": JOB_REF})
        until_followed(watcher, second, "Running")
        evaluations.client.request("DELETE", evaluations.path("mnist"))
        trainings.delete()


def test_a_training_that_had_ended_before_ends_nothing(
    evaluations: Evaluations, watcher: Watcher, node: Node, trainings: Trainings
) -> None:
    trainings.create()
    trainings.end()
    evaluations.create({"trainingRef": JOB_REF})
    until_training(watcher, "Succeeded")
    complete(evaluations, node)
    watcher.until("Ready", "False", "TrainingEndedBefore")
    assert watcher.condition("Finished")["status"] == "False"
    first_job = node.jobs()[0]["metadata"]["uid"]
    trainings.delete()
    second = trainings.create()
    until_followed(watcher, second, "Running")
    watcher.until("Ready", "False", "ReplacingJob")

    def is_replaced() -> bool:
        node.collect()
        return first_job not in [job["metadata"]["uid"] for job in node.jobs()] and bool(node.jobs())

    watcher.until_true(is_replaced)


def test_the_last_words_of_a_pod_are_read(evaluations: Evaluations, watcher: Watcher, node: Node) -> None:
    evaluations.create()
    watcher.until_true(node.jobs)
    node.run_pod(MISCONFIGURED)
    node.end_job("Failed", "exit code 78 matches a rule")
    watcher.until("Succeeded", "False", "ConfigurationError")
    assert "no module named evaluate" in watcher.condition("Succeeded")["message"]
