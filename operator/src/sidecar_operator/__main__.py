"""Starts the operator: `sidecar-operator` or `python -m sidecar_operator`, configured by environment variables.

Puts the parts together and runs them until SIGTERM or until one of them fails, which ends the process: Kubernetes
starts it again, and the first resync finds out what happened meanwhile.
"""

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any, cast

import kopf
from kubernetes.aio.client import ApiClient
from prometheus_client import CollectorRegistry, start_http_server

from sidecar_operator import handlers, settings
from sidecar_operator.cache import Store
from sidecar_operator.controller import Controller
from sidecar_operator.handlers import FOLLOWED_KINDS, FollowedKind, Handlers
from sidecar_operator.kube_client import ApiError, Cluster, connected
from sidecar_operator.metrics import ReconcileMetrics, ResourceCollector
from sidecar_operator.reconcile import Reconciler
from sidecar_operator.settings import Settings, SettingsError
from sidecar_operator.workqueue import WorkQueue

logger = logging.getLogger("sidecar_operator")


def main() -> int:
    """Run the operator; return its exit status."""
    try:
        given = settings.from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"sidecar-operator: {error}\n")
        return 2
    logging.basicConfig(level=given.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("kopf", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        asyncio.run(serve(given))
    except ApiError as error:
        logger.error("cannot start: %s", error)
        return 1
    return 0


async def serve(given: Settings) -> None:
    """Run the operator until it is stopped."""
    async with connected() as client:
        await operate(given, client)


async def operate(given: Settings, client: ApiClient) -> None:
    """Run the operator with this client until it is stopped."""
    cluster = Cluster(client, given.namespaces, instance=socket.gethostname())
    kinds = [kind for kind in FOLLOWED_KINDS if await cluster.can_watch(kind.api_version, kind.plural)]
    store, queue = Store(), WorkQueue(time.monotonic)
    registry = CollectorRegistry()
    registry.register(ResourceCollector(store))
    controller = Controller(
        Reconciler(cluster, store, given.evaluator_image, [(kind.api_version, kind.kind) for kind in kinds]),
        cluster,
        store,
        queue,
        ReconcileMetrics(registry, lambda: len(queue)),
        workers=given.workers,
        resync_seconds=given.resync_seconds,
        clock=time.monotonic,
    )
    await controller.resync()
    server, _ = start_http_server(given.metrics_port, registry=registry)
    logger.info("serving %s; trainings watched: %s", _scope(given), ", ".join(kind.kind for kind in kinds))
    try:
        await _run(given, controller, watching(controller, Handlers(store, queue.add), kinds))
    finally:
        server.shutdown()
        server.server_close()


def watching(controller: Controller, event_handlers: Handlers, kinds: Sequence[FollowedKind]) -> kopf.OperatorRegistry:
    """Return kopf's registry with all that is watched and probed."""
    registry = kopf.OperatorRegistry()
    handlers.register(registry, event_handlers, kinds)
    handlers.register_probe(registry, controller.check_health)
    return registry


async def _run(given: Settings, controller: Controller, registry: kopf.OperatorRegistry) -> None:
    """Run passes, resyncs and kopf side by side; the end of one is the end of all."""
    parts = [
        asyncio.create_task(controller.run_passes(), name="passes"),
        asyncio.create_task(controller.run_resyncs(), name="resyncs"),
    ]
    await asyncio.sleep(0)  # at its end kopf waits for every task that has begun after its own start
    watch = kopf.operator(
        registry=registry,
        settings=handlers.watching_settings(),
        standalone=True,
        identity=cast("Any", socket.gethostname()),  # else kopf asks for the user's name, and 65532 has none
        clusterwide=not given.namespaces,
        namespaces=given.namespaces,
        liveness_endpoint=f"http://0.0.0.0:{given.probe_port}/healthz",
    )
    parts.append(asyncio.create_task(watch, name="kopf"))
    try:
        ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in ended:
            if not part.cancelled():
                part.result()
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


def _scope(given: Settings) -> str:
    return f"namespaces {', '.join(given.namespaces)}" if given.namespaces else "all namespaces"


if __name__ == "__main__":
    sys.exit(main())
