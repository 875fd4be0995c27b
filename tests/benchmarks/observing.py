"""What can be seen from outside a running evaluator: its /metrics, its resource, and what the API server counted."""

import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from benchmarks import measure
from cluster.client import Client

_WRITES = re.compile(
    r'^apiserver_request_total\{[^}]*resource="sidecarevaluations"[^}]*verb="(?:APPLY|PATCH|PUT|POST)"[^}]*\} (\S+)$',
    re.MULTILINE,
)


def scraped(port: int) -> str:
    """Return what /metrics says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def writes(client: Client) -> float:
    """Return how many writes to SidecarEvaluations the API server has counted, refused ones included."""
    return sum(float(count) for count in _WRITES.findall(client.get("/metrics")))


class ResourceWatch:
    """Watches one resource in a thread until the API server ends; `seen` tells when each step first was its latest."""

    def __init__(self, client: Client, collection: str, name: str) -> None:
        self.seen: dict[int, float] = {}
        self._error: Exception | None = None
        address = urlsplit(client.url)
        context = ssl.create_default_context(cadata=client.authority)
        connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=context)
        path = f"{collection}?watch=1&fieldSelector=metadata.name={name}"
        connection.request("GET", path, headers={"Authorization": f"Bearer {client.token}"})
        self._answer = connection.getresponse()
        threading.Thread(target=self._follow, name="watch", daemon=True).start()

    def until(self, step: int, limit: float) -> None:
        """Wait until the resource shows the step."""
        measure.until(lambda: step in self.seen or self._error is not None, limit, pause=0.002)
        if self._error:
            raise self._error

    def _follow(self) -> None:
        try:
            for changed in self._changes():
                at = time.monotonic()
                step = changed.get("status", {}).get("results", {}).get("latest", {}).get("step")
                if step is not None:
                    self.seen.setdefault(step, at)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._error = error

    def _changes(self) -> Iterator[dict[str, Any]]:
        for line in self._answer:
            yield json.loads(line)["object"]
