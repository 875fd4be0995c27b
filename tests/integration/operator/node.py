"""Stands in for what an API server alone does not have: the Job controller, the kubelet and the garbage collector.

A test calls for what they would do next, such as "the pod runs" or "the Job has failed", and it is written where they
would write it. Pods are created from the Job's own template, so admission checks the real one.
"""

import copy
from dataclasses import dataclass

from cluster.client import ApiError, Client, Object

RUNNING: Object = {
    "phase": "Running",
    "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
    "containerStatuses": [
        {
            "name": "evaluator",
            "image": "i",
            "imageID": "i",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }
    ],
}
"""Status of a pod that is ready."""


@dataclass(frozen=True)
class Node:
    """Plays the controllers for one namespace."""

    client: Client
    namespace: str

    def jobs(self, name: str = "mnist") -> list[Object]:
        """Return the Jobs of a SidecarEvaluation."""
        return self._list("/apis/batch/v1", "jobs", name)

    def pods(self, name: str = "mnist") -> list[Object]:
        """Return the pods of a SidecarEvaluation."""
        return self._list("/api/v1", "pods", name)

    def run_pod(self, status: Object, name: str = "mnist") -> Object:
        """Create a pod from the Job's template, as the Job controller does, and give it a status."""
        job = self.jobs(name)[0]
        template = copy.deepcopy(job["spec"]["template"])
        owner = {"apiVersion": "batch/v1", "kind": "Job", "controller": True}
        named = {key: job["metadata"][key] for key in ("name", "uid")}
        metadata = {**template["metadata"], "generateName": f"{job['metadata']['name']}-"}
        pod = {"metadata": {**metadata, "ownerReferences": [owner | named]}, "spec": template["spec"]}
        created: Object = self.client.post(f"/api/v1/namespaces/{self.namespace}/pods", pod)
        return self.set_pod_status(created, status)

    def set_pod_status(self, pod: Object, status: Object) -> Object:
        """Report on a pod, as the kubelet does."""
        return self._set_status(f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}", status)

    def end_job(self, condition: str, message: str = "", name: str = "mnist") -> None:
        """Report that the Job has ended (`Complete` or `Failed`), as the Job controller does."""
        at = "2026-01-01T00:00:00Z"
        before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[condition]
        conditions = [
            {"type": kind, "status": "True", "message": message, "reason": "Test", "lastTransitionTime": at}
            for kind in (before, condition)
        ]
        ended: Object = {"conditions": conditions, "startTime": at}
        if condition == "Complete":
            ended |= {"completionTime": at, "succeeded": 1}
        job = self.jobs(name)[0]["metadata"]["name"]
        self._set_status(f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{job}", ended)

    def warn(self, about: Object, kind: str, reason: str, message: str) -> None:
        """Publish a Warning event, as the kubelet and the Job controller do."""
        subject = {"kind": kind, "namespace": self.namespace, "name": about["metadata"]["name"]}
        event = {
            "metadata": {"generateName": "warning-", "namespace": self.namespace},
            "involvedObject": subject | {"uid": about["metadata"]["uid"]},
            "type": "Warning",
            "reason": reason,
            "message": message,
        }
        self.client.post(f"/api/v1/namespaces/{self.namespace}/events", event)

    def collect(self, name: str = "mnist") -> None:
        """Remove the pods of Jobs that are being deleted, then those Jobs, as the garbage collector does."""
        for job in [job for job in self.jobs(name) if "deletionTimestamp" in job["metadata"]]:
            for pod in self.pods(name):
                if pod["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]:
                    self.delete("/api/v1", "pods", pod)
            path = f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{job['metadata']['name']}"
            self.client.request("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")

    def delete(self, root: str, plural: str, obj: Object) -> None:
        """Delete an object at once."""
        path = f"{root}/namespaces/{self.namespace}/{plural}/{obj['metadata']['name']}"
        try:
            self.client.request("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise

    def _set_status(self, path: str, status: Object) -> Object:
        written: Object = self.client.request(
            "PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json"
        )
        return written

    def _list(self, root: str, plural: str, name: str) -> list[Object]:
        path = f"{root}/namespaces/{self.namespace}/{plural}?labelSelector=sidecareval.dev/name%3D{name}"
        items: list[Object] = self.client.get(path)["items"]
        return items
