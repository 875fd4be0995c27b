"""Starts the operator: `sidecar-operator` or `python -m sidecar_operator`, configured by environment variables.

Connects the parts and runs them until SIGTERM or until one of them fails, which ends the process: Kubernetes starts it
again, and the first resync reads what has happened meanwhile.
"""

import asyncio
import logging
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import kopf
from kubernetes.aio.client import ApiClient
from prometheus_client import CollectorRegistry

from sidecar_operator import handlers, settings
from sidecar_operator.cache import Cache
from sidecar_operator.controller import Controller
from sidecar_operator.handlers import Handlers, Health
from sidecar_operator.kube_client import ApiError, KubeClient, connected
from sidecar_operator.kube_objects import Key
from sidecar_operator.lease import Clocks, Lease, LeaseLostError
from sidecar_operator.metrics import ReconcileMetrics, ResourceMetrics
from sidecar_operator.metrics_endpoint import MetricsEndpoint
from sidecar_operator.reconcile import Reconciler
from sidecar_operator.rollover import Rollover
from sidecar_operator.settings import Settings, SettingsError
from sidecar_operator.training_watch import TrainingWatches
from sidecar_operator.workqueue import WorkQueue

logger = logging.getLogger("sidecar_operator")


def main() -> int:
    """Run the operator; return its exit status."""
    try:
        config = settings.from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"sidecar-operator: {error}\n")
        return 2
    logging.basicConfig(level=config.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for logger_name in ("kopf", "aiohttp.access"):
        logging.getLogger(logger_name).setLevel(logging.WARNING)
    try:
        asyncio.run(serve(config))
    except LeaseLostError as error:
        logger.error("%s", error)
        return 1
    except ApiError as error:
        logger.error(
            "cannot start: %s; check that the API server is reachable and that the operator may list its kinds", error
        )
        return 1
    return 0


async def serve(config: Settings) -> None:
    """Run the operator until it is stopped."""
    async with connected() as api_client:
        await operate(config, api_client)


async def operate(config: Settings, api_client: ApiClient) -> None:
    """Run the operator with this client until it is stopped."""
    lease = _lease(config, KubeClient(api_client))
    client = KubeClient(api_client, config.namespaces, socket.gethostname(), may_write=lambda: lease.is_held)
    registry, resources = CollectorRegistry(), ResourceMetrics()
    cache, queue = Cache(resources.update), WorkQueue(time.monotonic)
    rollover = Rollover(cache, config.evaluator_image, config.rollovers)
    trainings = TrainingWatches(client, cache, queue.add, config.namespaces)
    controller = Controller(
        Reconciler(client, cache, config.evaluator_image, trainings.request, is_rollover_due=rollover.is_due),
        client,
        cache,
        queue,
        ReconcileMetrics(registry, lambda: len(queue)),
        workers=config.workers,
        resync_seconds=config.resync_seconds,
        clock=time.monotonic,
    )
    await controller.resync()
    logger.info("serving %s", _scope(config))
    has_waited: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    loops = (
        _hold(lease, has_waited),
        _pass(controller, has_waited),
        controller.run_resyncs(),
        rollover.run(queue.add),
        trainings.run(),
    )
    kopf_registry = registry_of(lambda: health(controller, lease), trainings, Handlers(cache, queue.add))
    with MetricsEndpoint(config.metrics_port, registry, resources):
        try:
            await _run(config, loops, kopf_registry)
        finally:
            await lease.release()


def _lease(config: Settings, client: KubeClient) -> Lease:
    key = Key(config.lease_namespace, config.lease_name)
    identity = config.identity or f"{socket.gethostname()}_{uuid.uuid4()}"
    return Lease(client, key, identity, config.lease_seconds, Clocks(time.monotonic))


def health(controller: Controller, lease: Lease) -> Health:
    """Return what the probe answers; an operator that waits for the Lease is alive, and says that it waits."""
    return {**controller.check_health(), "lease": lease.describe()}


def registry_of(
    check_health: Callable[[], Health], trainings: TrainingWatches, event_handlers: Handlers
) -> kopf.OperatorRegistry:
    """Return kopf's registry with the handlers of watch events, of the probe and of the end."""
    registry = kopf.OperatorRegistry()
    handlers.register(registry, event_handlers)
    handlers.register_probe(registry, check_health)
    handlers.register_cleanup(registry, trainings.stop)
    return registry


async def _hold(lease: Lease, has_waited: asyncio.Future[bool]) -> None:
    """Acquire the Lease, tell that it is held and whether that took a while, and keep it."""
    has_waited.set_result(await lease.acquire())
    await lease.keep()


async def _pass(controller: Controller, has_waited: asyncio.Future[bool]) -> None:
    """Make passes once the Lease is held; after another operator's work only when all has been listed again."""
    if await has_waited:
        await controller.resync()
    await controller.run_passes()


async def _run(config: Settings, loops: Sequence[Coroutine[Any, Any, None]], registry: kopf.OperatorRegistry) -> None:
    """Run the loops and kopf concurrently; when one of them ends, the others are cancelled."""
    parts = [asyncio.create_task(loop) for loop in loops]
    await asyncio.sleep(0)  # when it ends, kopf waits for every task that was started after itself
    watch = kopf.operator(
        registry=registry,
        settings=handlers.watching_settings(),
        memories=handlers.NoMemories(),
        standalone=True,
        identity=cast("Any", socket.gethostname()),  # by default kopf asks for the name of the user, and 65532 has none
        clusterwide=not config.namespaces,
        namespaces=config.namespaces,
        liveness_endpoint=f"http://0.0.0.0:{config.probe_port}/healthz",
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


def _scope(config: Settings) -> str:
    return f"namespaces {', '.join(config.namespaces)}" if config.namespaces else "all namespaces"


if __name__ == "__main__":
    sys.exit(main())
