"""Builds images with the user's own docker or podman, for a cluster that is not the local one.

The Dockerfiles' defaults hold: python:slim and TensorFlow with CUDA. kind, k3d and minikube take an archive of the
image; for any other cluster loading is refused with what to do instead.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.current import Current
from cluster.errors import ClusterError
from cluster.progress import Progress
from images.recipes import Recipe

TOOLS = ("docker", "podman")


@dataclass(frozen=True)
class ForeignImages:
    """Images in the store of a container tool of the user's."""

    tool: str
    root: Path
    environ: Mapping[str, str]
    progress: Progress

    def build(self, recipe: Recipe) -> None:
        """Build and tag an image; the tool's output is the user's to see."""
        self.progress.say(f"{recipe.short}: building with {self.tool}")
        if subprocess.run(self.command(recipe), cwd=self.root, env=self.environ, check=False).returncode:
            raise ClusterError(f"{self.tool} could not build {recipe.name}; its words are above")
        self.progress.say(f"{recipe.short}: built {recipe.name}:dev")

    def command(self, recipe: Recipe) -> list[str]:
        """Return the command line that builds an image from the repository's root."""
        chosen = recipe.arguments(self.environ.get("BASE_IMAGE", ""), self.environ.get("TENSORFLOW", ""))
        arguments = [f"--build-arg={name}={value}" for name, value in chosen.items()]
        return [self.tool, "build", *arguments, f"--file={recipe.dockerfile}", f"--tag={recipe.name}:dev", "."]

    def load(self, recipe: Recipe) -> None:
        """Bring the image to the cluster of the user's kubeconfig; ClusterError where that knows no archives."""
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / f"{recipe.name}.tar"
            self.progress.say(f"{recipe.short}: saving the image for the cluster")
            command = [self.tool, "save", f"--output={archive}", f"{recipe.name}:dev"]
            if subprocess.run(command, env=self.environ, check=False).returncode:
                raise ClusterError(f"{self.tool} could not save {recipe.name}:dev", "build it first: make images")
            Current(self.environ).load(archive)
        self.progress.say(f"{recipe.short}: loaded into the cluster")


def tool(environ: Mapping[str, str]) -> str | None:
    """Return the container tool to use, or None for the local builder; ClusterError if it is not there."""
    named = environ.get("CONTAINER_TOOL")
    if not named and environ.get("CLUSTER", "local") != "current":
        return None
    wanted = [named] if named else [*TOOLS]
    installed = [name for name in wanted if shutil.which(name, path=environ.get("PATH"))]
    if not installed:
        raise ClusterError(f"{' or '.join(wanted)} is not there", "install it, or name yours: CONTAINER_TOOL=...")
    return installed[0]
