"""The evaluator's own SidecarEvaluation on the API server: get it, watch it, apply `status.results`.

`commands.run` reads and watches it, the status writer applies results. These three requests on this one object
are all that the evaluator's Role allows; no other request may be added here.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from sidecar_evaluator.kube.client import ApiClient, ApiError, load_config

_log = logging.getLogger(__name__)

_GROUP, _VERSION, _PLURAL = "sidecareval.dev", "v1alpha1", "sidecarevaluations"
FIELD_MANAGER = "sidecar-evaluator"
_WATCH_SECONDS = 240
_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 60.0
_ATTEMPTS = 64
_FORBIDDEN, _NOT_FOUND, _CONFLICT, _GONE = 403, 404, 409, 410
_CONFLICT_RETRIES = 3


class Resource(Protocol):
    """The requests that the evaluator sends for its resource."""

    def read(self) -> dict[str, Any]:
        """Return the object."""

    def apply_results(self, results: dict[str, Any]) -> None:
        """Replace `status.results`."""

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield the object as it is and after each change, until the server ends the watch."""


class KubernetesResource:
    """One SidecarEvaluation, named `namespace/name`.

    Raises ConfigurationError: `client` is None and no cluster is configured.
    """

    def __init__(self, reference: str, client: ApiClient | None = None) -> None:
        self._namespace, _, self._name = reference.partition("/")
        self._client = client or ApiClient(load_config())
        self._uid: str | None = None
        self._collection = f"/apis/{_GROUP}/{_VERSION}/namespaces/{self._namespace}/{_PLURAL}"

    def read(self) -> dict[str, Any]:
        """Return the object."""
        resource = self._client.request("GET", f"{self._collection}/{self._name}")
        self._uid = resource["metadata"]["uid"]
        return resource

    def apply_results(self, results: dict[str, Any]) -> None:
        """Replace `status.results` by server-side apply, but never that of another object with the same name.

        For the status subresource the API server does not compare a uid, but it does compare a resourceVersion.
        """
        for _ in range(_CONFLICT_RETRIES):
            try:
                self._apply({"results": results}, self._resource_version())
            except ApiError as error:
                if error.status != _CONFLICT:
                    raise
            else:
                return
        self._apply({"results": results}, self._resource_version())

    def _resource_version(self) -> dict[str, str]:
        """Return the current resourceVersion of the object that was read; nothing if none was read."""
        if self._uid is None:
            return {}
        metadata = self._client.request("GET", f"{self._collection}/{self._name}")["metadata"]
        if metadata["uid"] != self._uid:
            raise ApiError(_GONE, "Gone", f"{self._name} was deleted and another object was created with its name")
        return {"resourceVersion": metadata["resourceVersion"]}

    def _apply(self, status: dict[str, Any], resource_version: dict[str, str]) -> None:
        self._client.request(
            "PATCH",
            f"{self._collection}/{self._name}/status",
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body={
                "apiVersion": f"{_GROUP}/{_VERSION}",
                "kind": "SidecarEvaluation",
                "metadata": {"name": self._name, "namespace": self._namespace, **resource_version},
                "status": status,
            },
            content_type="application/apply-patch+yaml",
        )

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield the object as it is and after each change, until the server ends the watch.

        Each watch starts with the current object, so that no change between two watches is missed.
        """
        return self._client.watch(self._collection, {"fieldSelector": f"metadata.name={self._name}"}, _WATCH_SECONDS)


def read_patiently(
    resource: Resource, stop: threading.Event, attempts: int = _ATTEMPTS, pause: float = _PAUSE_SECONDS
) -> dict[str, Any]:
    """Read the resource; retry with growing pauses, for about an hour, while it cannot be read.

    That it may not be read, or does not exist, is no configuration error: its Role may have been deleted, and the
    operator makes it again; where the resource itself was deleted, this pod soon follows it.

    Raises ConnectionError: it could not be read.
    """
    cause = "it was not tried"
    for attempt in range(attempts):
        try:
            return resource.read()
        except Exception as error:
            cause = _cause_of(error)
        seconds = min(pause * 2.0 ** min(attempt, 16), _LONGEST_PAUSE_SECONDS)
        _log.warning("The SidecarEvaluation cannot be read, trying again in %g s: %s", seconds, cause)
        if stop.wait(seconds):
            break
    raise ConnectionError(
        f"The SidecarEvaluation could not be read, so the evaluator cannot resume from its results: {cause}"
    )


def _cause_of(error: Exception) -> str:
    if isinstance(error, ApiError) and error.status in (_FORBIDDEN, _NOT_FOUND):
        return f"{error.reason}; check --resource and the Role of the evaluator's ServiceAccount."
    return f"{error}; check the connection to the API server, and whether a NetworkPolicy forbids egress to it."


def watch(
    resource: Resource,
    on_change: Callable[[dict[str, Any]], None],
    on_failure: Callable[[], None],
    stop: threading.Event,
    pause: float = _PAUSE_SECONDS,
) -> None:
    """Pass the resource to `on_change`, now and after each change until `stop` is set; run it in a thread.

    `on_failure` is called for each watch that fails.
    """
    while not stop.is_set():
        try:
            for evaluation in resource.changes():
                on_change(evaluation)
        except Exception as error:
            on_failure()
            _log.warning("The watch of the SidecarEvaluation failed, restarting it: %s", error)
        stop.wait(pause)
