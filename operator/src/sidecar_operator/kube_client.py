"""Client of the Kubernetes API: the only module that calls it.

`reconcile`, `child_objects` and `controller` use it. Requests and answers are plain JSON objects; an object is created
or changed by server-side apply, under the operator's own field manager, but for a change of a Job, whose template is
not known any more. A failed request raises one of four exceptions, by what can be done about it: not found, conflict,
refused until something is changed, or unavailable for now.
"""

import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from sidecar_operator import names
from sidecar_operator.api_paths import LEASES, PLURALS, ServedKind, path_of
from sidecar_operator.events import Transition, event_of
from sidecar_operator.kube_objects import JsonObject, Key, KubeObject, Page, WarningEvent, objects_at, text_at
from sidecar_operator.resource_view import TrainingRef
from sidecar_operator.training_state import Absence

REQUEST_SECONDS = 20
"""Deadline of one request."""
LONGEST_WAIT = 300
"""Seconds: what a response asks for beyond this, as Retry-After, is not obeyed."""
FIRST_PAGE = 20
PAGE = 100
"""Objects in one answer to a list: in the first one, and at most. The memory that a list takes is that of one page."""
PAGE_SIZE = 1 << 20
"""Bytes that a page has at most, about: what belongs to others may be large."""
LIVE_PODS = 20
"""How many pods of a training that waits are looked at."""
WATCH_SECONDS = 300
"""How long a watch lasts before it is continued by another."""
SILENCE_SECONDS = 120
"""Silence after which a connection counts as broken; the API server sends a bookmark about every minute."""


class ApiError(Exception):
    """A request that failed; the message is the API server's own."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0, missing: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        """Seconds that the API server asks to wait before the request is sent again; 0 where it does not say."""
        self.missing = missing
        """Name of the object that does not exist; empty where the answer names none, as its kind may be missing."""


class NotFoundError(ApiError):
    """The object, or its kind, does not exist."""


class ExpiredError(ApiError):
    """The resourceVersion is too old for a watch; a list gives a new one."""


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
    configuration.connection_pool_maxsize = 0  # no limit: each watch holds a connection
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
        config.load_incluster_config(client_configuration=configuration)
    else:
        await config.load_kube_config(client_configuration=configuration)
    async with ApiClient(configuration) as client:
        yield client


class KubeClient:
    """Typed verbs over the API of one cluster."""

    def __init__(
        self,
        client: ApiClient,
        namespaces: Sequence[str] = (),
        instance: str = "operator",
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._client = client
        self._namespaces = tuple(namespaces)
        self._instance = instance
        self._may_write = may_write
        self._served: dict[tuple[str, str], ServedKind] = {}

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

    async def create(self, manifest: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Create the object of a manifest and return it; ConflictError where one of this name exists.

        A dry run stores nothing: it tells whether the API server would accept the object.
        """
        obj = KubeObject(manifest)
        api_version, plural = PLURALS[obj.kind]
        query = [("fieldManager", names.FIELD_MANAGER), *([("dryRun", "All")] if dry_run else [])]
        return await self._request("POST", path_of(api_version, plural, obj.namespace), query, manifest)

    async def apply(self, manifest: JsonObject) -> JsonObject:
        """Apply the manifest, and return the object as it is afterwards."""
        api_version, plural = PLURALS[manifest["kind"]]
        return await self._apply(path_of(api_version, plural, *KubeObject(manifest).key), manifest)

    async def patch(self, obj: KubeObject, change: JsonObject) -> JsonObject:
        """Change fields of the object, unless it has changed since it was read, and return it as it is afterwards."""
        api_version, plural = PLURALS[obj.kind]
        read = {"uid": obj.uid, "resourceVersion": text_at(obj.raw, "metadata", "resourceVersion")}
        body = {**change, "metadata": {**change.get("metadata", {}), **read}}
        query = [("fieldManager", names.FIELD_MANAGER)]
        path = path_of(api_version, plural, *obj.key)
        return await self._request("PATCH", path, query, body, "application/merge-patch+json")

    async def apply_status(self, evaluation: KubeObject, status: JsonObject) -> JsonObject:
        """Write the operator's fields of the status; return the resource.

        Raises ConflictError where the resource has changed since it was read, or another one has its name: for the
        status the API server compares no uid, but it does compare the resourceVersion.
        """
        metadata = {
            "name": evaluation.name,
            "namespace": evaluation.namespace,
            "uid": evaluation.uid,
            "resourceVersion": text_at(evaluation.raw, "metadata", "resourceVersion"),
        }
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
        """Read the training; return why where it cannot be read.

        Only an answer that names the object says that the object does not exist.
        """
        kind = self._served.get((ref.api_version, ref.kind)) or await self.served_kind(ref.api_version, ref.kind)
        if kind is None:
            return Absence.KIND_UNKNOWN
        try:
            return await self._request("GET", path_of(*kind, ref.namespace, ref.name))
        except NotFoundError as error:
            if error.missing == ref.name:
                return Absence.NOT_FOUND
            self._served.pop((ref.api_version, ref.kind), None)
            return Absence.KIND_UNKNOWN
        except RefusedError:
            return Absence.FORBIDDEN

    async def list_live_pods(self, namespace: str, selector: str) -> list[JsonObject]:
        """Return some of the pods with these labels that have not ended."""
        live = "status.phase!=Succeeded,status.phase!=Failed"
        query = [("labelSelector", selector), ("fieldSelector", live), ("limit", str(LIVE_PODS))]
        return list((await self._request("GET", path_of("v1", "pods", namespace), query))["items"])

    async def served_kind(self, api_version: str, kind: str) -> ServedKind | None:
        """Find out how the cluster serves a kind now: in this version, else in another one of the group."""
        self._served.pop((api_version, kind), None)
        versions = [api_version]
        for version in versions:
            if plural := await self._plural(version, kind):
                served = self._served[api_version, kind] = ServedKind(version, plural)
                return served
            if version == api_version:
                versions += await self._other_versions(api_version)
        return None

    async def _plural(self, api_version: str, kind: str) -> str | None:
        try:
            resources = objects_at(await self._request("GET", path_of(api_version)), "resources")
        except NotFoundError:
            return None
        plurals = [text_at(resource, "name") for resource in resources if text_at(resource, "kind") == kind]
        return next((plural for plural in plurals if "/" not in plural), None)

    async def _other_versions(self, api_version: str) -> list[str]:
        """Return the versions in which the cluster serves the group, the preferred ones first."""
        group, has_group, _ = api_version.rpartition("/")
        if not has_group:
            return []
        try:
            versions = objects_at(await self._request("GET", f"/apis/{group}"), "versions")
        except NotFoundError:
            return []
        served = (text_at(version, "groupVersion") for version in versions)
        return [version for version in served if version not in ("", api_version)]

    async def list_trainings(self, kind: ServedKind, namespace: str | None) -> AsyncGenerator[Page, None]:
        """List all trainings of a kind, page by page."""
        async for page in self._pages(path_of(*kind, namespace), [], ""):
            yield page

    async def version_of_list(self, kind: ServedKind, namespace: str | None) -> int:
        """Return the resourceVersion at which the API server would list a kind now."""
        answer = await self._request("GET", path_of(*kind, namespace), [("limit", "1")])
        return KubeObject(answer).resource_version

    async def watch(self, kind: ServedKind, namespace: str | None, version: str) -> AsyncGenerator[JsonObject, None]:
        """Yield the events of a kind after a version, until the server ends the watch.

        Raises ExpiredError where the version is too old, ApiError where the kind cannot be watched.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        path = path_of(*kind, namespace)
        request = await self._client.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=SILENCE_SECONDS)
        try:
            answer = await self._client.call_api(*request, _request_timeout=timeout)
            if answer.status >= 300:
                raise error_of(answer.status, await answer.read())
            async with answer.response:
                async for line in answer.response.content:
                    yield dict(json.loads(line))
        except aiohttp.SocketTimeoutError:
            return  # silence: the next watch goes on after the last event, or finds that the server is away
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(0, f"the watch of {path} broke: {type(error).__name__}: {error}") from error

    async def read_lease(self, key: Key) -> JsonObject | None:
        """Read a Lease, None where there is none."""
        try:
            return await self._request("GET", path_of(LEASES, "leases", *key))
        except NotFoundError:
            return None

    async def create_lease(self, key: Key, spec: JsonObject) -> JsonObject:
        """Create a Lease; a ConflictError tells that it exists."""
        lease = {"apiVersion": LEASES, "kind": "Lease", "metadata": {"name": key.name}, "spec": spec}
        return await self._request("POST", path_of(LEASES, "leases", key.namespace), body=lease)

    async def replace_lease(self, lease: JsonObject) -> JsonObject:
        """Replace a Lease; a ConflictError tells that it has changed since it was read."""
        return await self._request("PUT", path_of(LEASES, "leases", *KubeObject(lease).key), body=lease)

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
        token, limit = "", FIRST_PAGE
        while True:
            proceed = [("continue", token)] if token else []
            text = await self._text("GET", path, [*query, ("limit", str(limit)), *proceed])
            answer = json.loads(text)
            objects: list[JsonObject] = [{**item, "kind": kind} for item in answer.pop("items")]
            is_first, token = not token, text_at(answer, "metadata", "continue")
            yield Page(objects, KubeObject(answer).resource_version, is_first=is_first, is_last=not token)
            if not token:
                return
            limit = page_limit(len(text), len(objects))

    async def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: JsonObject | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        return dict(json.loads(await self._text(method, path, query, body, content_type)))

    async def _text(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: JsonObject | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        if method != "GET" and not self._may_write():
            raise UnavailableError(0, f"{method} {path} was not sent: this operator does not hold its Lease")
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
        return bytes(text)


def page_limit(size: int, count: int) -> int:
    """Return how many objects to ask for next, where a page of so many bytes had so many objects."""
    return max(1, min(PAGE_SIZE * count // max(size, 1), PAGE))


def error_of(status: int, text: bytes, retry_after: str = "") -> ApiError:
    """Return the exception for a non-2xx response; `retry_after` is its header of this name, in seconds."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    message = text_at(answer, "message") or text.decode(errors="replace")[:500] or f"HTTP {status}"
    missing = text_at(answer, "details", "name") if text_at(answer, "reason") == "NotFound" else ""
    seconds = min(int(retry_after), LONGEST_WAIT) if retry_after.isdecimal() else 0
    return ERRORS.get(status, UnavailableError)(status, message, seconds, missing)


ERRORS: dict[int, type[ApiError]] = {
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
    **dict.fromkeys((400, 403, 405, 413, 422), RefusedError),
}
"""Exception by HTTP status; any other status may be over at the next try."""


def _event_time(event: JsonObject) -> str:
    paths = (("lastTimestamp",), ("eventTime",), ("metadata", "creationTimestamp"))
    return next((time for path in paths if (time := text_at(event, *path))), "")
