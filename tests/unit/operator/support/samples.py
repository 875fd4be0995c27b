"""Objects as the API server would hand them out, small enough to read, for the unit tests of the operator."""

import itertools
from typing import Any

from sidecar_operator import names
from sidecar_operator.conditions import Condition, Reason, Type, render
from sidecar_operator.kube_objects import JsonObject, Key, KubeObject
from sidecar_operator.resource_view import TrainingRef

KEY = Key("team", "mnist")
TRAINING_REF = TrainingRef("kubeflow.org/v1", "TFJob", "team", "train")
NOW = "2026-01-02T03:04:05Z"
EARLIER = "2026-01-01T00:00:00Z"
_versions = itertools.count(1)


def metadata(name: str, **fields: Any) -> JsonObject:
    """Return metadata with a resourceVersion that grows with each call."""
    version = str(next(_versions))
    return {
        "namespace": KEY.namespace,
        "name": name,
        "uid": f"uid-{name}",
        "creationTimestamp": EARLIER,
        "resourceVersion": version,
        **fields,
    }


def evaluation(spec: JsonObject | None = None, status: JsonObject | None = None, generation: int = 1) -> JsonObject:
    """Return a SidecarEvaluation; `spec` is laid over the least one."""
    least = {
        "checkpoints": {"source": {"persistentVolumeClaim": {"claimName": "runs"}}, "path": "run"},
        "evaluator": {"entrypoint": "evaluate:build"},
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": metadata(KEY.name, generation=generation),
        "spec": least | (spec or {}),
        "status": status or {"observedGeneration": -1},
    }


def owned_by(owner: JsonObject, **labels: str) -> JsonObject:
    """Return the metadata fields of a child of `owner`."""
    reference = {"uid": KubeObject(owner).uid, "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return {
        "labels": {
            names.MANAGED_BY_LABEL: names.FIELD_MANAGER,
            names.NAME_LABEL: KEY.name,
            **labels,
        },
        "ownerReferences": [reference | {"controller": True}],
    }


def job(owner: JsonObject, name: str = "mnist-0a1b2c3d", **status: Any) -> JsonObject:
    """Return a Job of a SidecarEvaluation."""
    return {
        "kind": "Job",
        "metadata": metadata(name, **owned_by(owner)),
        "spec": {"suspend": False},
        "status": status,
    }


def pod(owner: JsonObject, name: str = "pod-1", *, deleting: bool = False, **status: Any) -> JsonObject:
    """Return a pod of a Job."""
    labels = owned_by(owner, **{names.JOB_NAME_LABEL: owner["metadata"]["name"]})
    deletion = {"deletionTimestamp": NOW} if deleting else {}
    return {"kind": "Pod", "metadata": metadata(name, **labels, **deletion), "status": status}


def training(kind: str = "TFJob", name: str = "train", **conditions: str) -> JsonObject:
    """Return a training with these conditions, such as `Succeeded="True"`."""
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": kind,
        "metadata": metadata(name),
        "status": {"conditions": [condition(its_type, status) for its_type, status in conditions.items()]},
    }


def condition(condition_type: str, status: str = "True", reason: str = "", message: str = "") -> JsonObject:
    """Return a condition as an object's status holds it."""
    return {
        "type": condition_type,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": EARLIER,
    }


def waiting(reason: str, message: str = "", image: str = "img:1") -> JsonObject:
    """Return the status of the evaluator's container while it waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": names.CONTAINER, "image": image, "state": state}


def running(since: str) -> JsonObject:
    """Return the status of the evaluator's container while it runs."""
    return {"name": names.CONTAINER, "image": "img:1", "state": {"running": {"startedAt": since}}}


def terminated(exit_code: int, message: str = "", reason: str = "Error") -> JsonObject:
    """Return the status of the evaluator's container after its end."""
    state = {"terminated": {"exitCode": exit_code, "message": message, "reason": reason}}
    return {"name": names.CONTAINER, "image": "img:1", "state": state}


def held_open(exit_code: int, message: str = "") -> JsonObject:
    """Return the status of a pod whose evaluator has ended while another container goes on."""
    proxy = {"name": "proxy", "image": "proxy:1", "state": {"running": {"startedAt": EARLIER}}}
    return {"phase": "Running", "containerStatuses": [terminated(exit_code, message), proxy]}


def finished(generation: int = 1, *, succeeded: bool = True) -> list[JsonObject]:
    """Return the stored conditions of an evaluation that has ended."""
    reason = Reason.COMPLETED if succeeded else Reason.EVALUATOR_FAILED
    decided = [
        Condition(Type.READY, reason, "over", status=succeeded),
        Condition(Type.FINISHED, reason, "over", status=True),
        Condition(Type.SUCCEEDED, reason, "over", status=succeeded),
    ]
    return render(decided, [], generation, EARLIER)


RESULTS: JsonObject = {
    "latest": {
        "checkpoint": "ckpt-7",
        "step": 700,
        "outcome": "evaluated",
        "score": "accuracy=0.93",
        "metrics": [
            {"name": "accuracy", "dataset": "val", "value": "0.93"},
            {"name": "loss", "dataset": "val", "value": "NaN"},
        ],
        "evaluatedAt": "2026-01-02T03:00:00.5Z",
    },
    "best": {"metrics": [{"name": "accuracy", "dataset": "val", "value": "0.94"}]},
    "counts": {"evaluated": 7, "skipped": 1},
    "backlog": 2,
}
"""A part of the status as the evaluator writes it."""
