"""Client of the Kubernetes API: the only module that calls it.

`reconcile`, `child_objects` and `controller` use it. Requests and answers are plain JSON objects; an object is created
or changed by server-side apply, under the operator's own field manager, but for a change of a Job, whose template is
not known any more. A failed request raises one of four exceptions, by what can be done about it: not found, conflict,
refused until something is changed, or unavailable for now.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from sidecar_operator import names
from sidecar_operator.events import Transition
from sidecar_operator.kube_objects import JsonObject, Key, KubeObject, Page, WarningEvent, text_at
from sidecar_operator.resource_view import TrainingRef
from sidecar_operator.training_state import Absence

REQUEST_SECONDS = 20
"""Deadline of one request."""
LONGEST_WAIT = 300
"""Seconds: what a response asks for beyond this, as Retry-After, is not obeyed."""
PAGE = 100
"""Objects in one answer to a list: it bounds the memory that a list takes, however many objects there are."""
LIVE_PODS = 20
"""How many pods of a training that waits are looked at."""

PLURALS = {
    "SidecarEvaluation": (names.API_VERSION, names.PLURAL),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
    "Job": ("batch/v1", "jobs"),
    "Pod": ("v1", "pods"),
}
"""API version and plural of each kind that the operator itself handles."""


class ApiError(Exception):
    """A request that failed; the message is the API server's own."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        """Seconds that the API server asks to wait before the request is sent again; 0 where it does not say."""


class NotFoundError(ApiError):
    """The object, or its kind, does not exist."""


class ConflictError(ApiError):
    """The object has changed meanwhile, or another one has its name."""


class RefusedError(ApiError):
    """The same request will be refused again until the cluster or the resource is changed."""


class UnavailableError(ApiError):
    """The API server could not answer; the same request may succeed later."""


@asynccontextmanager
async def connected() -> AsyncIterator[ApiClient]:
    """Open a client: in a pod with its ServiceAccount, elsewhere with the kubeconfig."""
    configuration = Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
        config.load_incluster_config(client_configuration=configuration)
    else:
        await config.load_kube_config(client_configuration=configuration)
    async with ApiClient(configuration) as client:
        yield client


class KubeClient:
    """Typed verbs over the API of one cluster."""

    def __init__(self, client: ApiClient, namespaces: Sequence[str] = (), instance: str = "operator") -> None:
        self._client = client
        self._namespaces = tuple(namespaces)
        self._instance = instance
        self._plurals: dict[tuple[str, str], str] = {}

    async def list_pages(self, kind: str) -> AsyncIterator[Page]:
        """List the resources, or the children of all resources, of this kind: a list for each served namespace."""
        api_version, plural = PLURALS[kind]
        query = [] if kind == names.KIND else [("labelSelector", names.CHILD_SELECTOR)]
        for namespace in self._namespaces or (None,):
            async for page in self._pages(path_of(api_version, plural, namespace), query, kind):
                yield page._replace(namespace=namespace)

    async def list_children(self, kind: str, owner: Key) -> list[JsonObject]:
        """List the children of one resource, of this kind."""
        api_version, plural = PLURALS[kind]
        query = [("labelSelector", f"{names.CHILD_SELECTOR},{names.NAME_LABEL}={owner.name}")]
        return await self._list(path_of(api_version, plural, owner.namespace), query, kind)

    async def read_evaluation(self, key: Key) -> JsonObject:
        """Read one resource."""
        return await self._request("GET", path_of(names.API_VERSION, names.PLURAL, *key))

    async def read(self, manifest: JsonObject) -> JsonObject | None:
        """Read the object that a manifest names, None where there is none."""
        api_version, plural = PLURALS[manifest["kind"]]
        try:
            return await self._request("GET", path_of(api_version, plural, *KubeObject(manifest).key))
        except NotFoundError:
            return None

    async def create(self, manifest: JsonObject) -> JsonObject:
        """Create the object of a manifest and return it; ConflictError where one of this name exists."""
        obj = KubeObject(manifest)
        api_version, plural = PLURALS[obj.kind]
        query = [("fieldManager", names.FIELD_MANAGER)]
        return await self._request("POST", path_of(api_version, plural, obj.namespace), query, manifest)

    async def apply(self, manifest: JsonObject) -> JsonObject:
        """Apply the manifest, and return the object as it is afterwards."""
        api_version, plural = PLURALS[manifest["kind"]]
        return await self._apply(path_of(api_version, plural, *KubeObject(manifest).key), manifest)

    async def patch(self, obj: KubeObject, change: JsonObject) -> JsonObject:
        """Change fields of the object with this uid by a merge patch, and return it as it is afterwards."""
        api_version, plural = PLURALS[obj.kind]
        body = {**change, "metadata": {**change.get("metadata", {}), "uid": obj.uid}}
        query = [("fieldManager", names.FIELD_MANAGER)]
        path = path_of(api_version, plural, *obj.key)
        return await self._request("PATCH", path, query, body, "application/merge-patch+json")

    async def apply_status(self, evaluation: KubeObject, status: JsonObject) -> JsonObject:
        """Write the operator's fields of the status, if the resource still has this uid; return the resource."""
        metadata = {"name": evaluation.name, "namespace": evaluation.namespace, "uid": evaluation.uid}
        manifest = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": metadata,
            "status": status,
        }
        return await self._apply(f"{path_of(names.API_VERSION, names.PLURAL, *evaluation.key)}/status", manifest)

    async def delete_job(self, job: KubeObject) -> None:
        """Delete the Job with this uid; it exists until its pods are gone."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": job.uid},
        }
        try:
            await self._request("DELETE", path_of("batch/v1", "jobs", *job.key), body=options)
        except (NotFoundError, ConflictError):
            return

    async def read_training(self, ref: TrainingRef) -> JsonObject | Absence:
        """Read the training; return why where it cannot be read."""
        try:
            plural = await self._plural(ref.api_version, ref.kind)
            if plural is None:
                return Absence.KIND_UNKNOWN
            return await self._request("GET", path_of(ref.api_version, plural, ref.namespace, ref.name))
        except NotFoundError:
            return Absence.NOT_FOUND
        except RefusedError:
            return Absence.FORBIDDEN

    async def list_live_pods(self, namespace: str, selector: str) -> list[JsonObject]:
        """Return some of the pods with these labels that have not ended."""
        live = "status.phase!=Succeeded,status.phase!=Failed"
        query = [("labelSelector", selector), ("fieldSelector", live), ("limit", str(LIVE_PODS))]
        return list((await self._request("GET", path_of("v1", "pods", namespace), query))["items"])

    async def can_watch(self, api_version: str, plural: str) -> bool:
        """Tell whether the kind exists and may be listed in every served namespace."""
        for namespace in self._namespaces or (None,):
            try:
                await self._request("GET", path_of(api_version, plural, namespace), [("limit", "1")])
            except (NotFoundError, RefusedError):
                return False
        return True

    async def list_warnings(self, obj: KubeObject) -> list[WarningEvent]:
        """Return the Warning events about an object, oldest first."""
        selector = f"involvedObject.uid={obj.uid},type=Warning"
        path = path_of("v1", "events", obj.namespace)
        ordered = sorted(await self._list(path, [("fieldSelector", selector)], "Event"), key=_event_time)
        return [WarningEvent(text_at(event, "reason"), text_at(event, "message")) for event in ordered]

    async def publish_event(self, evaluation: KubeObject, transition: Transition) -> None:
        """Record a transition as an Event of the resource."""
        event = event_of(evaluation, transition, time.time(), self._instance)
        path = path_of("events.k8s.io/v1", "events", evaluation.namespace)
        await self._request("POST", path, body=event)

    async def _apply(self, path: str, manifest: JsonObject) -> JsonObject:
        query = [("fieldManager", names.FIELD_MANAGER), ("force", "true")]
        return await self._request("PATCH", path, query, manifest, "application/apply-patch+yaml")

    async def _list(self, path: str, query: list[tuple[str, str]], kind: str) -> list[JsonObject]:
        return [obj async for page in self._pages(path, query, kind) for obj in page.objects]

    async def _pages(self, path: str, query: list[tuple[str, str]], kind: str) -> AsyncIterator[Page]:
        """List page by page; the next one is asked for once this one has been dealt with."""
        token = ""
        while True:
            proceed = [("continue", token)] if token else []
            answer = await self._request("GET", path, [*query, ("limit", str(PAGE)), *proceed])
            objects: list[JsonObject] = [{**item, "kind": kind} for item in answer.pop("items")]
            is_first, token = not token, text_at(answer, "metadata", "continue")
            yield Page(objects, KubeObject(answer).resource_version, is_first=is_first, is_last=not token)
            if not token:
                return

    async def _plural(self, api_version: str, kind: str) -> str | None:
        """Return the kind's plural, None where the cluster does not serve the kind; plurals are cached."""
        if (api_version, kind) not in self._plurals:
            try:
                resources = (await self._request("GET", path_of(api_version)))["resources"]
            except NotFoundError:
                return None
            for resource in resources:
                if "/" not in resource["name"]:
                    self._plurals[api_version, resource["kind"]] = resource["name"]
        return self._plurals.get((api_version, kind))

    async def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: JsonObject | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = await self._client.param_serialize(
            method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            answer = await self._client.call_api(*request, _request_timeout=REQUEST_SECONDS)
            text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(0, f"{method} {path} got no answer: {type(error).__name__}: {error}") from error
        if answer.status >= 300:
            raise error_of(answer.status, text, answer.headers.get("Retry-After", ""))
        return dict(json.loads(text))


def path_of(api_version: str, plural: str = "", namespace: str | None = None, name: str = "") -> str:
    """Return the path of an API version, of a kind in it, or of one object."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return root + scope + (f"/{plural}" if plural else "") + (f"/{name}" if name else "")


def error_of(status: int, text: bytes, retry_after: str = "") -> ApiError:
    """Return the exception for a non-2xx response; `retry_after` is its header of this name, in seconds."""
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        message = text.decode(errors="replace")[:500] or f"HTTP {status}"
    seconds = min(int(retry_after), LONGEST_WAIT) if retry_after.isdecimal() else 0
    return ERRORS.get(status, UnavailableError)(status, message, seconds)


ERRORS: dict[int, type[ApiError]] = {
    404: NotFoundError,
    409: ConflictError,
    **dict.fromkeys((400, 403, 405, 413, 422), RefusedError),
}
"""Exception by HTTP status; any other status may be over at the next try."""


def event_of(evaluation: KubeObject, transition: Transition, seconds: float, instance: str) -> JsonObject:
    """Return the Event that records a transition at this time (seconds since 1970)."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{evaluation.name}.{int(seconds * 1e9):x}", "namespace": evaluation.namespace},
        "eventTime": f"{moment}.{int(seconds % 1 * 1e6):06d}Z",
        "type": transition.level,
        "reason": transition.reason,
        "note": transition.message[:1000],
        "action": "Reconcile",
        "reportingController": f"{names.GROUP}/{names.FIELD_MANAGER}",
        "reportingInstance": instance[:128],
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": evaluation.namespace,
            "name": evaluation.name,
            "uid": evaluation.uid,
            "resourceVersion": text_at(evaluation.raw, "metadata", "resourceVersion"),
        },
    }


def _event_time(event: JsonObject) -> str:
    paths = (("lastTimestamp",), ("eventTime",), ("metadata", "creationTimestamp"))
    return next((time for path in paths if (time := text_at(event, *path))), "")
