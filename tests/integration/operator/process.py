"""The operator as a process of its own, with the rights that deploy/base gives it, against the test's API server."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from cluster.processes import poll, spawn
from support.waiting import DEADLINE


@dataclass
class OperatorProcess:
    """Starts, stops and asks one operator; it lists everything again every two seconds."""

    kubeconfig: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        self.metrics_port, self.probe_port = _free_port(), _free_port()
        settings = {
            "KUBECONFIG": str(self.kubeconfig),
            "EVALUATOR_IMAGE": "sidecar-evaluator:test",
            "METRICS_PORT": str(self.metrics_port),
            "PROBE_PORT": str(self.probe_port),
            "RESYNC_SECONDS": "2",
            "PYTHONWARNINGS": "error::RuntimeWarning",
        }
        argv = [sys.executable, "-m", "sidecar_operator"]
        environment = {**os.environ, **settings, **self.environment}
        self.process = spawn(argv, self.log, die_with_parent=True, env=environment)
        assert poll(self.is_healthy, DEADLINE), self.log.read_text()

    def stop(self) -> int:
        """Stop it as Kubernetes does, and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def is_healthy(self) -> bool:
        """Ask the liveness probe."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.probe_port}/healthz", timeout=DEADLINE) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def health(self) -> dict[str, object]:
        """Return what the liveness probe answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.probe_port}/healthz", timeout=DEADLINE) as answer:
            health: dict[str, object] = json.loads(answer.read())["health"]
            return health

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric, None where there is none with these labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=DEADLINE) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        values = (
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
        return next(values, None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
