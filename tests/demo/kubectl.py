"""Call kubectl, the way a person would, and read what it answers.

The demo and the end-to-end tests use it, so that every step they take can be repeated by hand. It must not hide a
failure: a command that fails raises `KubectlError` with kubectl's own words.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings

Value = TypeVar("Value")

Manifest = dict[str, Any]
"""A Kubernetes object as JSON."""


class KubectlError(RuntimeError):
    """kubectl ended with an error; the message is what it printed."""


class Kubectl:
    """One cluster and one namespace, seen through kubectl."""

    def __init__(self, program: str, kubeconfig: str | None, namespace: str = "default") -> None:
        self.program = program
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    @classmethod
    def of_cluster(cls, environ: Mapping[str, str] = os.environ) -> "Kubectl":
        """Return the local cluster, or with CLUSTER=current the one that the user's kubeconfig points at."""
        if environ.get("CLUSTER") == "current":
            return cls("kubectl", None)
        settings = Settings.from_environment(environ)
        return cls(str(Programs.of(settings.cache, Progress()).path("kubectl")), str(settings.kubeconfig))

    def within(self, namespace: str) -> "Kubectl":
        """Return the same cluster with another default namespace."""
        return Kubectl(self.program, self.kubeconfig, namespace)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run one command and return what it printed; raise `KubectlError` if it fails."""
        chosen = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        command = [self.program, *chosen, f"--namespace={self.namespace}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def read(self, *arguments: str) -> Manifest:
        """Return the object (or the list) that `kubectl get <arguments>` finds."""
        manifest: Manifest = json.loads(self.run("get", *arguments, "--output=json"))
        return manifest

    def find(self, *arguments: str) -> Manifest | None:
        """Return the named object, or None where there is none."""
        printed = self.run("get", *arguments, "--output=json", "--ignore-not-found")
        return json.loads(printed) if printed.strip() else None

    def items(self, *arguments: str) -> list[Manifest]:
        """Return the objects that `kubectl get <arguments>` lists."""
        items: list[Manifest] = self.read(*arguments)["items"]
        return items

    def apply(self, manifest: Manifest | str) -> None:
        """Apply an object, or a YAML text of several, server-side."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        self.run("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=text)

    def apply_folder(self, folder: Path) -> None:
        """Apply a kustomization, server-side."""
        self.run("apply", "--server-side", "--force-conflicts", f"--kustomize={folder}")

    def scrape(self, pod: str, seconds: float = 30.0, port: int = 8080) -> str:
        """Return what a pod serves on /metrics, read through the API server within so many seconds."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/metrics"
        return self.run("get", "--raw", path, f"--request-timeout={seconds:.0f}s")


def wait_for(what: str, look: Callable[[], Value | None], seconds: float, every: float = 1.0) -> Value:
    """Poll `look` until it finds something; raise `TimeoutError` naming `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while (value := look()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)
    return value
