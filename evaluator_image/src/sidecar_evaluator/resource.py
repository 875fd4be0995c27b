"""The evaluator's own SidecarEvaluation on the API server: read it, watch it, apply its results.

The only module that talks to Kubernetes. Its ServiceAccount may do these three things to this one
object and nothing else. The client library reads the rotating token anew by itself.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from sidecar_evaluator.errors import ConfigurationError

_log = logging.getLogger(__name__)

_GROUP, _VERSION, _PLURAL = "sidecareval.dev", "v1alpha1", "sidecarevaluations"
FIELD_MANAGER = "sidecar-evaluator"
_REQUEST_SECONDS = 10
_WATCH_SECONDS = 240
_PAUSE_SECONDS = 2.0


class Resource(Protocol):
    """What the evaluator asks of its resource."""

    def read(self) -> dict[str, Any]:
        """Return the object."""

    def apply_results(self, results: dict[str, Any]) -> None:
        """Make `status.results` exactly this."""

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield the object now and after each change until the server ends the watch."""


class KubernetesResource:
    """One SidecarEvaluation, named `namespace/name`, by the official client."""

    def __init__(self, reference: str) -> None:
        from kubernetes import client

        self._namespace, _, self._name = reference.partition("/")
        self._uid: str | None = None
        _load_configuration()
        self._api = client.CustomObjectsApi()

    def read(self) -> dict[str, Any]:
        """Return the object."""
        found: dict[str, Any] = self._api.get_namespaced_custom_object(
            _GROUP, _VERSION, self._namespace, _PLURAL, self._name, _request_timeout=_REQUEST_SECONDS
        )
        self._uid = found["metadata"]["uid"]
        return found

    def apply_results(self, results: dict[str, Any]) -> None:
        """Make `status.results` exactly this, by server-side apply; never of another object of the same name."""
        identity = {"uid": self._uid} if self._uid else {}
        body = {
            "apiVersion": f"{_GROUP}/{_VERSION}",
            "kind": "SidecarEvaluation",
            "metadata": {"name": self._name, "namespace": self._namespace, **identity},
            "status": {"results": results},
        }
        self._api.patch_namespaced_custom_object_status(
            _GROUP,
            _VERSION,
            self._namespace,
            _PLURAL,
            self._name,
            body,
            field_manager=FIELD_MANAGER,
            force=True,
            _content_type="application/apply-patch+yaml",
            _request_timeout=_REQUEST_SECONDS,
        )

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield the object now and after each change until the server ends the watch."""
        from kubernetes import watch

        events = watch.Watch().stream(
            self._api.list_namespaced_custom_object,
            _GROUP,
            _VERSION,
            self._namespace,
            _PLURAL,
            field_selector=f"metadata.name={self._name}",
            timeout_seconds=_WATCH_SECONDS,
            _request_timeout=_WATCH_SECONDS + _REQUEST_SECONDS,
        )
        for event in events:
            yield event["object"]


def read_patiently(
    resource: Resource, stop: threading.Event, attempts: int = 30, pause: float = _PAUSE_SECONDS
) -> dict[str, Any]:
    """Read the resource, again and again while the API server cannot be reached.

    Raises ConfigurationError: the resource does not exist or may not be read.
    """
    from kubernetes.client import ApiException

    for attempt in range(attempts):
        try:
            return resource.read()
        except ApiException as error:
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


def _load_configuration() -> None:
    from kubernetes import config

    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except config.ConfigException as error:
            raise ConfigurationError(f"--resource needs a cluster, and none is configured: {error}") from error
