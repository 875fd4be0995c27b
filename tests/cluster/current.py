"""CLUSTER=current: the cluster that the user's own kubeconfig points at, looked at and loaded into, never changed.

kind, minikube and k3d are known by the name of the context and take image archives by their own commands.
"""

import argparse
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError

Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Current:
    """The user's environment, in which their own kubectl and other tools run."""

    environ: Mapping[str, str]

    @classmethod
    def from_environment(cls) -> "Current":
        """Take this process's environment."""
        return cls(dict(os.environ))

    def run(self, arguments: argparse.Namespace) -> int:
        """Do what the command means for a cluster that is not ours."""
        match arguments.command:
            case "up" | "status":
                print(self.check())
            case "kubeconfig":
                print(self.kubeconfig)
            case "training-operator":
                self._run(
                    ["kubectl", "get", "crd", "tfjobs.kubeflow.org"], "install the Kubeflow training-operator into it"
                )
            case "load":
                for archive in arguments.archives:
                    self.load(archive)
            case command:
                raise ClusterError(
                    f"`{command}` does not touch a cluster that is not the project's own (CLUSTER=current)",
                    "unset CLUSTER to mean the local cluster",
                )
        return 0

    @property
    def kubeconfig(self) -> str:
        """The user's kubeconfig: KUBECONFIG, else ~/.kube/config."""
        return self.environ.get("KUBECONFIG") or str(Path(self.environ.get("HOME", "~")) / ".kube" / "config")

    def check(self) -> str:
        """Return a line that names the cluster if it can be reached."""
        self._kubectl("get", "--raw", "/readyz")
        return f"context {self.context()} of {self.kubeconfig} answers"

    def context(self) -> str:
        """Return the name of the current context."""
        return self._kubectl("config", "current-context").strip()

    def load(self, archive: Path) -> None:
        """Load an image archive by the command of the tool that made the cluster."""
        command = load_command(self.context(), archive)
        self._run(command, f"push the images to a registry that the cluster reads instead of loading {archive.name}")

    def _kubectl(self, *arguments: str) -> str:
        return self._run(["kubectl", *arguments], f"check the current context of {self.kubeconfig}")

    def _run(self, command: Sequence[str], advice: str) -> str:
        program = shutil.which(command[0], path=self.environ.get("PATH"))
        if program is None:
            raise ClusterError(f"{command[0]} is not there", f"install {command[0]}")
        done: Run = subprocess.run(
            [program, *command[1:]], env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ClusterError(f"{' '.join(command[:3])}: {done.stderr.strip()}", advice)
        return done.stdout


def load_command(context: str, archive: Path) -> list[str]:
    """Return the command that loads an archive into the cluster of this context."""
    if context.startswith("kind-"):
        return ["kind", "load", "image-archive", str(archive), "--name", context.removeprefix("kind-")]
    if context.startswith("k3d-"):
        return ["k3d", "image", "import", str(archive), "--cluster", context.removeprefix("k3d-")]
    if context == "minikube":
        return ["minikube", "image", "load", str(archive)]
    raise ClusterError(
        f"images cannot be loaded into the cluster of context {context}: it is none of kind, k3d, minikube",
        "push them to a registry that the cluster reads, and name them there in deploy/base/kustomization.yaml",
    )
