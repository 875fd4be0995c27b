"""The evaluator's own SidecarEvaluation on the API server: read it, watch it, apply its results.

The only module that knows what is asked of Kubernetes; `api_server` carries it. The evaluator's
ServiceAccount may do these three things to this one object and nothing else.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from sidecar_evaluator.errors import ConfigurationError
from sidecar_evaluator.kube.client import ApiError, ApiServer, find_access

_log = logging.getLogger(__name__)

_GROUP, _VERSION, _PLURAL = "sidecareval.dev", "v1alpha1", "sidecarevaluations"
FIELD_MANAGER = "sidecar-evaluator"
_WATCH_SECONDS = 240
_PAUSE_SECONDS = 2.0
_CONFLICT, _GONE = 409, 410
_RETRIES = 3  # where another writer of the status comes between


class Resource(Protocol):
    """What the evaluator asks of its resource."""

    def read(self) -> dict[str, Any]:
        """Return the object."""

    def apply_results(self, results: dict[str, Any]) -> None:
        """Make `status.results` exactly this."""

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield the object now and after each change until the server ends the watch."""


class KubernetesResource:
    """One SidecarEvaluation, named `namespace/name`.

    Raises ConfigurationError: no server is given, and no cluster is configured.
    """

    def __init__(self, reference: str, server: ApiServer | None = None) -> None:
        self._namespace, _, self._name = reference.partition("/")
        self._server = server or ApiServer(find_access())
        self._uid: str | None = None
        self._all = f"/apis/{_GROUP}/{_VERSION}/namespaces/{self._namespace}/{_PLURAL}"

    def read(self) -> dict[str, Any]:
        """Return the object."""
        found = self._server.request("GET", f"{self._all}/{self._name}")
        self._uid = found["metadata"]["uid"]
        return found

    def apply_results(self, results: dict[str, Any]) -> None:
        """Make `status.results` exactly this, by server-side apply; never of another object of the same name.

        A uid in what is applied is not compared by the server where only the status is written, a version is.
        """
        for _ in range(_RETRIES):
            try:
                self._apply({"results": results}, self._version())
            except ApiError as error:
                if error.status != _CONFLICT:
                    raise
            else:
                return
        self._apply({"results": results}, self._version())

    def _version(self) -> dict[str, str]:
        """Return the version of the object that was read at first; the empty one where none was."""
        if self._uid is None:
            return {}
        metadata = self._server.request("GET", f"{self._all}/{self._name}")["metadata"]
        if metadata["uid"] != self._uid:
            raise ApiError(_GONE, "Gone", f"{self._name} was deleted, and another one has its name now")
        return {"resourceVersion": metadata["resourceVersion"]}

    def _apply(self, status: dict[str, Any], version: dict[str, str]) -> None:
        self._server.request(
            "PATCH",
            f"{self._all}/{self._name}/status",
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body={
                "apiVersion": f"{_GROUP}/{_VERSION}",
                "kind": "SidecarEvaluation",
                "metadata": {"name": self._name, "namespace": self._namespace, **version},
                "status": status,
            },
            content_type="application/apply-patch+yaml",
        )

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield the object now and after each change until the server ends the watch.

        Each watch begins with the object as it is, so that nothing between two of them is missed.
        """
        return self._server.watch(self._all, {"fieldSelector": f"metadata.name={self._name}"}, _WATCH_SECONDS)


def read_patiently(
    resource: Resource, stop: threading.Event, attempts: int = 30, pause: float = _PAUSE_SECONDS
) -> dict[str, Any]:
    """Read the resource, again and again while the API server cannot be reached.

    Raises ConfigurationError: the resource does not exist or may not be read.
    """
    for attempt in range(attempts):
        try:
            return resource.read()
        except ApiError as error:
            if error.status in (403, 404) and attempt >= 5:  # a fresh Role may take a moment to be known
                raise ConfigurationError(f"The SidecarEvaluation cannot be read: {error.reason}.") from error
            _log.warning("The SidecarEvaluation cannot be read, retrying: %s", error.reason)
        except Exception as error:
            _log.warning("The API server cannot be reached, retrying: %s", error)
        if stop.wait(pause):
            break
    raise ConnectionError("The SidecarEvaluation could not be read; its results are needed to go on from them.")


def watch_training(
    resource: Resource, on_state: Callable[[str], None], stop: threading.Event, pause: float = _PAUSE_SECONDS
) -> None:
    """Report `status.training.state` now and after each change until `stop` is set; run it in a thread."""
    while not stop.is_set():
        try:
            for found in resource.changes():
                state = found.get("status", {}).get("training", {}).get("state")
                if state:
                    on_state(state)
        except Exception as error:
            _log.warning("The watch of the training's state broke off, starting anew: %s", error)
        stop.wait(pause)
