"""The operator as a process of its own, with its own rights, on a real API server: requests, CPU, memory, start.

First in a cluster that is empty but for a hundred new resources, whose Jobs get no pod because there are no
controllers. Then in one of ten thousand resources and as many other people's Jobs, six hundred hostile statuses among
them. The API server counts the requests; CPU and memory are those that the kernel counts for the process.
"""

import asyncio
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random
from string import ascii_letters
from typing import Any

from benchmarks import measure
from benchmarks.crowd import EVALUATIONS, Crowd, Send, all_of, namespace_of, resource, result, sending
from benchmarks.rows import Bound, Budget, Figure, Row, Unit
from cluster.api_server import ApiServer
from cluster.client import Client, Object
from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings
from integration.installed import installed_server
from integration.operator.process import OperatorProcess

TITLE = "The operator on an API server: 100 new resources; 10,000 resources and 10,000 other Jobs"
NEW = 100
CROWD = Crowd(resources=10_000, hostile=600, foreign_jobs=10_000)
EVENTS = 300
WITHIN = 600.0
NEEDED = ("etcd", "kube-apiserver", "kubectl")
KINDS = "sidecarevaluations|serviceaccounts|roles|rolebindings|jobs"
TICKS = os.sysconf("SC_CLK_TCK")
SETTINGS = {"RESYNC_SECONDS": "3600"}

AT_MOST = {
    "requests for a new resource": 6,
    "CPU for a new resource": 0.015,
    "reads of events in 30 s, 100 resources without pods": 80,
    "start until ready": 60,
    "memory at rest": 150,
    "peak memory": 150,
    "CPU of an event of somebody else's Job": 0.002,
    "CPU of an event of a resource": 0.002,
    "one scrape": 0.5,
}


def rows(scratch: Path) -> Iterator[Row]:
    """Measure in the empty cluster, then in the crowded one."""
    programs = Programs.of(Settings.from_environment().cache, Progress())
    if not all(programs.path(name).exists() for name in NEEDED):
        yield Row("all", Unit.REQUESTS, note="no API server is built: run make programs")
        return
    with installed_server(scratch / "api-server") as server:
        operator = operator_of(server, scratch)
        yield from of_new_resources(server, operator)
        yield from in_a_crowd(server, operator)


def operator_of(server: ApiServer, scratch: Path) -> OperatorProcess:
    """Return the operator, not yet started, with the rights of its ServiceAccount."""
    kubeconfig = server.kubeconfig_of(server.token("sidecar-operator", "sidecar-system"))
    return OperatorProcess(kubeconfig, scratch / "operator.log", SETTINGS)


def of_new_resources(server: ApiServer, operator: OperatorProcess) -> Iterator[Row]:
    """Create resources beside a running operator, and wait until each has its status and its children."""
    server.create_namespace("new")
    operator.start()
    until_idle(operator)
    time.sleep(15)  # the second resync is over
    requests, cpu, reads = counted(server.client), cpu_seconds(operator), event_reads(server.client)
    began = time.monotonic()
    asyncio.run(_create(server.client))
    measure.until(lambda: _reported(server.client) >= NEW, WITHIN, pause=0.5)
    time.sleep(1)  # not until it is idle: soon it begins to read events
    created = NEW + 0.0  # by this process, counted too
    yield _row("requests for a new resource", Unit.REQUESTS, (counted(server.client) - requests - created) / NEW)
    yield _row("CPU for a new resource", Unit.SECONDS, (cpu_seconds(operator) - cpu) / NEW)
    time.sleep(max(0.0, 30 - (time.monotonic() - began)))
    what = "reads of events in 30 s, 100 resources without pods"
    yield _row(what, Unit.REQUESTS, event_reads(server.client) - reads)
    assert operator.stop() == 0


def in_a_crowd(server: ApiServer, operator: OperatorProcess) -> Iterator[Row]:
    """Start the operator in a large cluster, and let things happen there."""
    CROWD.fill(server.client, hostile_results())
    began = time.monotonic()
    operator.start()
    yield _row("start until ready", Unit.SECONDS, time.monotonic() - began)
    until_passed(operator, passes=CROWD.resources)
    time.sleep(15)  # the second resync is over
    until_idle(operator)
    yield _row("memory at rest", Unit.MEBIBYTES, resident(operator, "VmRSS:"))
    cpu = per_event(server.client, operator, _touch_job)
    yield _row("CPU of an event of somebody else's Job", Unit.SECONDS, cpu)
    cpu = per_event(server.client, operator, _touch_resource)
    yield _row("CPU of an event of a resource", Unit.SECONDS, cpu)
    scrapes = [measure.seconds(lambda: scrape(operator)) for _ in range(5)]
    yield _row("one scrape", Unit.SECONDS, *scrapes)
    yield _row("peak memory", Unit.MEBIBYTES, resident(operator, "VmHWM:"))
    assert operator.stop() == 0


def hostile_results() -> Object:
    """Return results about as large as the schema allows, and that no compression makes small."""
    random = Random(0)

    def text(length: int, escaped: str = "") -> str:
        return "".join(random.choices(ascii_letters + escaped, k=length))

    metrics = [{"name": text(40), "dataset": "val", "value": "0.5"} for _ in range(40)]
    texts = {"checkpoint": text(255, "<>&"), "message": text(512, "<>&"), "score": text(256), "imageID": text(256)}
    huge = {**result(1), **texts, "metrics": metrics}
    history = [{**result(1), "message": text(150, "<>&")}] * 11
    return {"latest": huge, "best": huge, "history": history, "counts": {"evaluated": 11}}


def counted(client: Client) -> float:
    """Return how many requests about the operator's kinds the API server has answered, watches left out."""
    return _sum(client, rf'resource="(?:{KINDS})"[^}}]*verb="(?!WATCH)')


def event_reads(client: Client) -> float:
    """Return how often events were listed."""
    return _sum(client, r'resource="events"[^}]*verb="LIST"')


def _sum(client: Client, labels: str) -> float:
    counts = re.findall(
        rf"^apiserver_request_total{{[^}}]*{labels}[^}}]*}} (\S+)$", client.get("/metrics"), re.MULTILINE
    )
    return sum(map(float, counts))


def cpu_seconds(operator: OperatorProcess) -> float:
    """Return how much processor time the operator has taken since it was started."""
    fields = Path(f"/proc/{_pid(operator)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(operator: OperatorProcess, field: str) -> float:
    """Return the operator's resident memory in MiB, now (VmRSS) or at most (VmHWM)."""
    lines = Path(f"/proc/{_pid(operator)}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def until_passed(operator: OperatorProcess, passes: int) -> None:
    """Wait until the operator has made so many passes."""
    measure.until(lambda: (operator.metric("sidecareval_operator_reconcile_total") or 0) >= passes, WITHIN, pause=2)
    until_idle(operator)


def until_idle(operator: OperatorProcess) -> None:
    """Wait until the operator takes no processor time any more."""
    before = -1.0
    while cpu_seconds(operator) - before > 0.02:
        before = cpu_seconds(operator)
        time.sleep(1)


def per_event(client: Client, operator: OperatorProcess, touch: Any) -> float:
    """Return the processor time that the operator takes for each of many events."""
    before = cpu_seconds(operator)
    asyncio.run(_touch(client, touch))
    until_idle(operator)
    return (cpu_seconds(operator) - before) / EVENTS


def scrape(operator: OperatorProcess) -> bytes:
    """Read the operator's metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.metrics_port}/metrics", timeout=WITHIN) as answer:
        return bytes(answer.read())


async def _create(client: Client) -> None:
    collection = f"{EVALUATIONS}/namespaces/new/sidecarevaluations"
    async with sending(client) as send:
        await all_of(_post(send, collection, f"new-{number}") for number in range(NEW))


async def _post(send: Send, collection: str, name: str) -> None:
    await send("POST", collection, resource(name))


def _reported(client: Client) -> int:
    """Return how many of the new resources have a status; read from the metrics, so that no read is counted."""
    return int(_sum(client, r'resource="sidecarevaluations"[^}]*subresource="status"[^}]*verb="(?:APPLY|PATCH)"'))


async def _touch(client: Client, touch: Any) -> None:
    async with sending(client) as send:
        await all_of(touch(send, number) for number in range(CROWD.hostile, CROWD.hostile + EVENTS))


async def _touch_job(send: Send, number: int) -> None:
    path = f"/apis/batch/v1/namespaces/{namespace_of(number)}/jobs/train-{number}"
    await send(
        "PATCH", path, {"metadata": {"labels": {"touched": str(time.monotonic_ns())}}}, "application/merge-patch+json"
    )


async def _touch_resource(send: Send, number: int) -> None:
    path = f"{EVALUATIONS}/namespaces/{namespace_of(number)}/sidecarevaluations/evaluation-{number}/status"
    await send("PATCH", path, {"status": {"results": {"backlog": time.monotonic_ns()}}}, "application/merge-patch+json")


def _pid(operator: OperatorProcess) -> int:
    assert operator.process
    return operator.process.pid


def _row(what: str, unit: Unit, *values: float) -> Row:
    return Row(what, unit, Figure.of(values), budgets=(Budget(Bound.AT_MOST, AT_MOST[what]),))
