"""The Kubernetes API: the only module that calls it.

`reconcile` and `controller` use it. Requests and answers are plain JSON objects; every write of an object is a
server-side apply under the operator's own field manager. Errors come out as one of four exceptions, so that nobody
else needs to know status codes: gone, refused for good, in conflict, or worth another try.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from sidecar_operator import kube_objects
from sidecar_operator.events import Transition
from sidecar_operator.kube_objects import Key, Object, TrainingRef
from sidecar_operator.pod_diagnosis import Warned
from sidecar_operator.training_state import Absence

REQUEST_SECONDS = 20
PAGE = 500
"""Objects in one answer to a list."""

PLURALS = {
    "SidecarEvaluation": (kube_objects.API_VERSION, kube_objects.PLURAL),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Role": ("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings"),
    "Job": ("batch/v1", "jobs"),
    "Pod": ("v1", "pods"),
}
"""API version and plural of each kind that the operator itself handles."""


class ApiError(Exception):
    """A request that failed; the message is the API server's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(ApiError):
    """The object, or its kind, does not exist."""


class ConflictError(ApiError):
    """Somebody else has changed the object meanwhile, or it is another one by now."""


class RefusedError(ApiError):
    """The same request will be refused again until somebody changes something."""


class UnavailableError(ApiError):
    """The API server could not answer; the same request may well succeed later."""


class Listing(NamedTuple):
    """Objects of one kind, and the resourceVersion at which the API server listed them."""

    objects: list[Object]
    version: int
    namespace: str | None = None
    """The only namespace that was listed, None for all."""


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


class Cluster:
    """Typed verbs over the API of one cluster."""

    def __init__(self, client: ApiClient, namespaces: Sequence[str] = (), instance: str = "operator") -> None:
        self._client = client
        self._namespaces = tuple(namespaces)
        self._instance = instance
        self._plurals: dict[tuple[str, str], str] = {}

    async def everything(self, kind: str) -> list[Listing]:
        """List the resources, or the children of all resources, that are of this kind; one listing a namespace."""
        api_version, plural = PLURALS[kind]
        query = [] if kind == kube_objects.KIND else [("labelSelector", kube_objects.CHILD_SELECTOR)]
        listings = []
        for namespace in self._namespaces or (None,):
            listing = await self._list(path_of(api_version, plural, namespace), query, kind)
            listings.append(listing._replace(namespace=namespace))
        return listings

    async def children(self, kind: str, owner: Key) -> list[Object]:
        """List the children of one resource that are of this kind."""
        api_version, plural = PLURALS[kind]
        query = [("labelSelector", f"{kube_objects.CHILD_SELECTOR},{kube_objects.NAME_LABEL}={owner.name}")]
        return (await self._list(path_of(api_version, plural, owner.namespace), query, kind)).objects

    async def evaluation(self, key: Key) -> Object:
        """Read one resource."""
        return await self._request("GET", path_of(kube_objects.API_VERSION, kube_objects.PLURAL, *key))

    async def find(self, manifest: Object) -> Object | None:
        """Read the object that a manifest names, None where there is none."""
        api_version, plural = PLURALS[manifest["kind"]]
        try:
            return await self._request("GET", path_of(api_version, plural, *kube_objects.key_of(manifest)))
        except NotFoundError:
            return None

    async def apply(self, manifest: Object) -> Object:
        """Make the object what the manifest says, and return it as it is now."""
        api_version, plural = PLURALS[manifest["kind"]]
        return await self._apply(path_of(api_version, plural, *kube_objects.key_of(manifest)), manifest)

    async def apply_status(self, evaluation: Object, status: Object) -> Object:
        """Write the operator's part of the status of exactly this resource, and return it as it is now."""
        key = kube_objects.key_of(evaluation)
        metadata = {"name": key.name, "namespace": key.namespace, "uid": kube_objects.uid_of(evaluation)}
        manifest = {
            "apiVersion": kube_objects.API_VERSION,
            "kind": kube_objects.KIND,
            "metadata": metadata,
            "status": status,
        }
        return await self._apply(f"{path_of(kube_objects.API_VERSION, kube_objects.PLURAL, *key)}/status", manifest)

    async def delete_job(self, job: Object) -> None:
        """Delete exactly this Job; it stays visible until its pods are gone."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": kube_objects.uid_of(job)},
        }
        try:
            await self._request("DELETE", path_of("batch/v1", "jobs", *kube_objects.key_of(job)), body=options)
        except (NotFoundError, ConflictError):
            return

    async def training(self, ref: TrainingRef) -> Object | Absence:
        """Read the training, or say why it cannot be read."""
        try:
            plural = await self._plural(ref.api_version, ref.kind)
            if plural is None:
                return Absence.KIND_UNKNOWN
            return await self._request("GET", path_of(ref.api_version, plural, ref.namespace, ref.name))
        except NotFoundError:
            return Absence.NOT_FOUND
        except RefusedError:
            return Absence.FORBIDDEN

    async def can_watch(self, api_version: str, plural: str) -> bool:
        """Tell whether the kind exists and may be listed in every served namespace."""
        for namespace in self._namespaces or (None,):
            try:
                await self._request("GET", path_of(api_version, plural, namespace), [("limit", "1")])
            except (NotFoundError, RefusedError):
                return False
        return True

    async def warnings(self, obj: Object) -> list[Warned]:
        """Return the Warning events about an object, oldest first."""
        selector = f"involvedObject.uid={kube_objects.uid_of(obj)},type=Warning"
        path = path_of("v1", "events", obj["metadata"]["namespace"])
        listing = await self._list(path, [("fieldSelector", selector)], "Event")
        ordered = sorted(listing.objects, key=_event_time)
        return [Warned(str(event.get("reason", "")), str(event.get("message", ""))) for event in ordered]

    async def publish(self, evaluation: Object, transition: Transition) -> None:
        """Record a transition as an Event of the resource."""
        event = event_of(evaluation, transition, time.time(), self._instance)
        path = path_of("events.k8s.io/v1", "events", evaluation["metadata"]["namespace"])
        await self._request("POST", path, body=event)

    async def _apply(self, path: str, manifest: Object) -> Object:
        query = [("fieldManager", kube_objects.FIELD_MANAGER), ("force", "true")]
        return await self._request("PATCH", path, query, manifest, "application/apply-patch+yaml")

    async def _list(self, path: str, query: list[tuple[str, str]], kind: str) -> Listing:
        objects: list[Object] = []
        page = [*query, ("limit", str(PAGE))]
        while True:
            answer = await self._request("GET", path, page)
            objects += ({**item, "kind": kind} for item in answer["items"])
            if not (rest := answer["metadata"].get("continue")):
                return Listing(objects, int(answer["metadata"].get("resourceVersion") or 0))
            page = [*query, ("limit", str(PAGE)), ("continue", rest)]

    async def _plural(self, api_version: str, kind: str) -> str | None:
        """Return the kind's name in paths, None where the cluster does not know it; what is known is kept."""
        if (api_version, kind) not in self._plurals:
            try:
                found = await self._request("GET", path_of(api_version))
            except NotFoundError:
                return None
            for resource in found["resources"]:
                if "/" not in resource["name"]:
                    self._plurals[api_version, resource["kind"]] = resource["name"]
        return self._plurals.get((api_version, kind))

    async def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = await self._client.param_serialize(
            method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            answer = await self._client.call_api(*request, _request_timeout=REQUEST_SECONDS)
            text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(0, f"{type(error).__name__}: {error}") from error
        if answer.status >= 300:
            raise error_of(answer.status, text)
        return dict(json.loads(text))


def path_of(api_version: str, plural: str = "", namespace: str | None = None, name: str = "") -> str:
    """Return the path of an API version, of a kind in it, or of one object."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return root + scope + (f"/{plural}" if plural else "") + (f"/{name}" if name else "")


def error_of(status: int, text: bytes) -> ApiError:
    """Return the exception for an answer that is no success."""
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        message = text.decode(errors="replace")[:500] or f"HTTP {status}"
    kind = {404: NotFoundError, 409: ConflictError, 400: RefusedError, 403: RefusedError, 405: RefusedError}
    return {**kind, 413: RefusedError, 422: RefusedError}.get(status, UnavailableError)(status, message)


def event_of(evaluation: Object, transition: Transition, seconds: float, instance: str) -> Object:
    """Return the Event that records a transition at this time (seconds since 1970)."""
    key = kube_objects.key_of(evaluation)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name}.{int(seconds * 1e9):x}", "namespace": key.namespace},
        "eventTime": f"{moment}.{int(seconds % 1 * 1e6):06d}Z",
        "type": transition.level,
        "reason": transition.reason,
        "note": transition.message[:1000],
        "action": "Reconcile",
        "reportingController": f"{kube_objects.GROUP}/{kube_objects.FIELD_MANAGER}",
        "reportingInstance": instance[:128],
        "regarding": {
            "apiVersion": kube_objects.API_VERSION,
            "kind": kube_objects.KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": kube_objects.uid_of(evaluation),
            "resourceVersion": evaluation["metadata"].get("resourceVersion", ""),
        },
    }


def _event_time(event: Object) -> str:
    times: list[Any] = [event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp")]
    return next((str(found) for found in times if found), "")
