"""A large cluster in an API server without controllers: thousands of resources that have ended, and as many other Jobs.

The group that measures the operator fills a server with it. What a resource has is what the operator made for it: a
ServiceAccount, a Role, a RoleBinding and a Job. A few resources are hostile: their results are as large as the schema
allows. Requests are sent over kept connections, many at a time.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from cluster.client import Client, Object
from integration.evaluations import API_VERSION, MINIMAL

NAMESPACES = 20
FOLLOWING = 100
"""Every so many resources one follows a Job, so that Jobs are watched."""
AT_A_TIME = 16
EVALUATIONS = f"/apis/{API_VERSION}"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
AT = "2026-01-01T00:00:00Z"

Send = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Crowd:
    """How many there are of each."""

    resources: int
    hostile: int
    foreign_jobs: int

    def fill(self, client: Client, hostile_results: Object) -> None:
        """Create everything."""
        asyncio.run(self._fill(client, hostile_results))

    async def _fill(self, client: Client, hostile_results: Object) -> None:
        async with sending(client) as send:
            await all_of(
                send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace_of(number)}})
                for number in range(NAMESPACES)
            )
            await all_of(
                _ended(send, number, hostile_results if number < self.hostile else RESULTS)
                for number in range(self.resources)
            )
            await all_of(_foreign_job(send, number) for number in range(self.foreign_jobs))


@asynccontextmanager
async def sending(client: Client) -> AsyncIterator[Send]:
    """Open connections that are kept; what is handed over sends a request and returns the answer's JSON."""
    context = ssl.create_default_context(cadata=client.authority)
    headers = {"Authorization": f"Bearer {client.token}"}
    connector = aiohttp.TCPConnector(limit=AT_A_TIME, ssl=context)
    async with aiohttp.ClientSession(client.url, connector=connector, headers=headers) as session:

        async def send(method: str, path: str, body: Object, content: str = "application/json") -> Any:
            async with session.request(method, path, json=body, headers={"Content-Type": content}) as answer:
                assert answer.status < 300, await answer.text()
                return await answer.json()

        yield send


async def all_of(actions: Iterable[Awaitable[None]]) -> None:
    """Do all of it, a few at a time, begun in this order."""
    waiting = iter(actions)

    async def work() -> None:
        for action in waiting:
            await action

    await asyncio.gather(*(work() for _ in range(AT_A_TIME)))


def namespace_of(number: int) -> str:
    """Return the namespace of a resource or Job."""
    return f"team-{number % NAMESPACES}"


def resource(name: str, **spec: Any) -> Object:
    """Return a resource to create."""
    least = {"apiVersion": API_VERSION, "kind": "SidecarEvaluation", "metadata": {"name": name}}
    return {**least, "spec": {**MINIMAL, **spec}}


def job(name: str, **metadata: Any) -> Object:
    """Return a Job to create, as small as they come."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "train"}]}}
    return {"metadata": {"name": name, **metadata}, "spec": {"template": template}}


async def _ended(send: Send, number: int, results: Object) -> None:
    """Create a resource whose evaluation has ended, with its children."""
    name, namespace = f"evaluation-{number}", namespace_of(number)
    collection = f"{EVALUATIONS}/namespaces/{namespace}/sidecarevaluations"
    follows = {"trainingRef": {"apiVersion": "batch/v1", "kind": "Job", "name": f"train-{number}"}}
    created = await send("POST", collection, resource(name, **({} if number % FOLLOWING else follows)))
    status = {"observedGeneration": 1, "conditions": CONDITIONS, "job": f"{name}-0a1b2c3d", "results": results}
    patch = "application/merge-patch+json"
    await send("PATCH", f"{collection}/{name}/status?fieldManager=crowd", {"status": status}, patch)
    metadata = _owned_by(created)
    child = f"{name}-evaluator"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": child}
    subject = {"kind": "ServiceAccount", "name": child, "namespace": namespace}
    rule = {"apiGroups": ["sidecareval.dev"], "resources": ["sidecarevaluations"], "resourceNames": [name]}
    named = {"metadata": {"name": child, **metadata}}
    await send("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", named)
    await send("POST", f"{RBAC}/namespaces/{namespace}/roles", {**named, "rules": [{**rule, "verbs": ["get"]}]})
    await send("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", {**named, "roleRef": role, "subjects": [subject]})
    await send("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", job(f"{name}-0a1b2c3d", **metadata))


async def _foreign_job(send: Send, number: int) -> None:
    await send("POST", f"/apis/batch/v1/namespaces/{namespace_of(number)}/jobs", job(f"train-{number}"))


def _owned_by(owner: Object) -> Object:
    name = owner["metadata"]["name"]
    reference = {"apiVersion": API_VERSION, "kind": "SidecarEvaluation", "name": name, "uid": owner["metadata"]["uid"]}
    return {
        "labels": {"app.kubernetes.io/managed-by": "sidecar-operator", "sidecareval.dev/name": name},
        "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": False}],
    }


def _condition(condition_type: str) -> Object:
    message = "training has finished; 10 evaluated, the last ckpt-10 at step 10000: accuracy=0.9312"
    stamp = {"observedGeneration": 1, "lastTransitionTime": AT}
    return {"type": condition_type, "status": "True", "reason": "TrainingFinished", "message": message, **stamp}


CONDITIONS = [_condition(condition_type) for condition_type in ("Ready", "Finished", "Succeeded")]


def result(number: int) -> Object:
    """Return what became of a checkpoint, as an evaluator writes it."""
    return {
        "checkpoint": f"ckpt-{number}",
        "step": number * 1000,
        "number": number,
        "outcome": "evaluated",
        "score": "accuracy=0.9312",
        "metrics": [{"name": name, "dataset": "val", "value": "0.931200000000001"} for name in ("accuracy", "loss")],
        "modifiedAt": AT,
        "startedAt": AT,
        "evaluatedAt": AT,
        "durationSeconds": "4.123",
    }


RESULTS: Object = {
    "latest": result(10),
    "best": result(9),
    "history": [result(number) for number in range(10, 0, -1)],
    "counts": {"evaluated": 10, "skipped": 0, "failed": 0, "gone": 0},
    "backlog": 0,
    "watermark": 10,
    "ended": {"reason": "TrainingFinished", "at": AT},
}
