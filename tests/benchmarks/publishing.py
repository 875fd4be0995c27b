"""From the end of an evaluation to where people read its scores: /metrics and the resource on a real API server.

The command `run` works as in a pod, with the token, the rights and the admission policies that it has there. The end is
the moment of the Keras callback `on_test_end`. One side reads /metrics again and again, the other watches the resource.
The API server counts the writes. Where no API server is built, /metrics alone is measured.
"""

import contextlib
import http.client
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import measure, processes, workload
from benchmarks.arriving import arrive
from benchmarks.observing import ResourceWatch, scraped, writes
from benchmarks.rows import Bound, Budget, Figure, Row, Unit
from cluster.api_server import ApiServer
from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings
from integration.evaluations import Evaluations
from integration.installed import installed_server
from integration.policies.objects import bind, create_pod, evaluator_rules

TITLE = "Evaluation ends → its scores can be read"
KERAS = "keras"
EVALUATIONS = 20
WITHIN = 60
NAMESPACE, NAME = "bench", "bench"
NEEDED = ("etcd", "kube-apiserver", "kubectl")
STEP = re.compile(r"^sidecareval_checkpoint_step (\S+)$", re.MULTILINE)
PUBLISHED, WRITES, MEMORY = "in the resource", "writes per evaluation", "peak memory with the resource; limit: bare"


@dataclass(frozen=True)
class Measurements:
    """What was measured of one run."""

    on_metrics: Figure
    in_resource: Figure | None = None
    writes: Figure | None = None
    peak: Figure | None = None


def rows(scratch: Path) -> Iterator[Row]:
    """Let twenty checkpoints come to the command."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(installed_server(scratch / "api-server")) if _is_built() else None
        measurements = _follow(scratch, server)
    bare = Figure(processes.call("benchmarks.memory:bare", keras=KERAS)) if server else None
    note = "" if server else "no API server is built: run make programs"
    yield Row("on /metrics", Unit.SECONDS, measurements.on_metrics, budgets=(Budget(Bound.AT_MOST, 0.010),))
    yield Row(PUBLISHED, Unit.SECONDS, measurements.in_resource, budgets=(Budget(Bound.P95, 0.150),), note=note)
    yield Row(WRITES, Unit.REQUESTS, measurements.writes, budgets=(Budget(Bound.AT_MOST, 2),), note=note)
    yield Row(MEMORY, Unit.MEBIBYTES, measurements.peak, None, bare, (Budget(Bound.OVER_LIMIT, 60),), note)


def _is_built() -> bool:
    programs = Programs.of(Settings.from_environment().cache, Progress())
    return all(programs.path(name).exists() for name in NEEDED)


def _follow(scratch: Path, server: ApiServer | None) -> Measurements:
    """Let checkpoints come one by one; note when each step is seen where."""
    source = workload.checkpoints(scratch, KERAS, workload.TENSORFLOW)
    directory = scratch / "published"
    directory.mkdir()
    log, port = scratch / "ended", measure.free_port()
    kubeconfig = str(_set_up(server)) if server else ""
    arguments = {"directory": str(directory), "log": str(log), "port": port, "kubeconfig": kubeconfig}
    watch = ResourceWatch(server.client, Evaluations(server.client, NAMESPACE).path(), NAME) if server else None
    with processes.Child("benchmarks.publishing:run", **arguments) as evaluator:
        seen = {}
        for number in range(1, EVALUATIONS + 2):
            if number == 2 and server:
                before = writes(server.client)
            arrive(source, directory, number, workload.TENSORFLOW)
            seen[number] = _seen(port, number)
            if watch:
                watch.until(number, WITHIN)
        peak = measure.peak_memory(Path(f"/proc/{evaluator.process.pid}/status").read_text().splitlines())
        ended = {int(number): float(at) for number, at in map(str.split, log.read_text().splitlines())}
        counted = range(2, EVALUATIONS + 2)  # the first is slower, since it traces
        on_metrics = Figure.of([seen[number] - ended[number] for number in counted])
        if not server or not watch:
            return Measurements(on_metrics)
        in_resource = Figure.of([watch.seen[number] - ended[number] for number in counted])
        written = Figure((writes(server.client) - before) / EVALUATIONS)
        return Measurements(on_metrics, in_resource, written, Figure(peak))


def _seen(port: int, number: int) -> float:
    """Return the moment at which /metrics showed this step."""
    at = 0.0

    def shows() -> bool:
        nonlocal at
        with contextlib.suppress(OSError, http.client.HTTPException):
            match = STEP.search(scraped(port))
            at = time.monotonic()
            return bool(match and float(match[1]) == number)
        return False

    measure.until(shows, WITHIN, pause=0.001)
    return at


def _set_up(server: ApiServer) -> Path:
    """Create the resource and its evaluator's rights, as the operator does; return the pod's kubeconfig."""
    server.create_namespace(NAMESPACE)
    Evaluations(server.client, NAMESPACE).create(name=NAME)
    server.create_service_account("evaluator", NAMESPACE)
    bind(server.client, NAMESPACE, "evaluator", evaluator_rules(NAME))
    create_pod(server.client, NAMESPACE, "evaluator", "evaluator")
    return server.kubeconfig_of(server.token("evaluator", NAMESPACE, "evaluator"))


def run(_report: processes.Report, directory: str, log: str, port: int, kubeconfig: str) -> None:
    """Run the command until it is ended from outside."""
    from sidecar_evaluator.commands import main

    os.environ["KUBECONFIG"] = kubeconfig
    resource = [f"--resource={NAMESPACE}/{NAME}", "--follow-training"] if kubeconfig else []
    arguments = [
        *("run", f"--checkpoint-dir={directory}", "--entrypoint=benchmarks.publishing:evaluation"),
        *(f"--parameter=log={log}", "--selection=Every", f"--port={port}", *resource),
    ]
    raise SystemExit(main.main(arguments))


def evaluation(log: str) -> Any:
    """Return the CNN and its data, with a callback that notes when evaluations end; the entry point."""
    keras_module = workload.module(KERAS)

    class Ended(keras_module.callbacks.Callback):  # type: ignore[name-defined, misc]
        def on_test_end(self, logs: object = None) -> None:
            at = time.monotonic()
            with Path(log).open("a") as file:
                file.write(f"{int(self.model.optimizer.iterations.numpy())} {at}\n")

    cnn_evaluation = workload.evaluation(KERAS)
    cnn_evaluation.callbacks = [Ended()]
    return cnn_evaluation
