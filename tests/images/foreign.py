"""Builds images with the user's own docker or podman, for a cluster that is not the local one.

The Dockerfiles' defaults hold: python:slim and TensorFlow with CUDA. How an image gets from there to the cluster
differs for each, so that loading is told and not done.
"""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from cluster.progress import Progress
from images.recipes import Recipe

TOOLS = ("docker", "podman")
HOW_TO_LOAD = """\
kind:     kind load docker-image {name}
  minikube: minikube image load {name}
  else:     push it to a registry that the nodes can pull from, and set the image in deploy/base"""


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
        """Refuse with the ways to bring the image to the cluster."""
        name = f"{recipe.name}:dev"
        raise ClusterError(f"{name} is in {self.tool}, not in your cluster", HOW_TO_LOAD.format(name=name))


def tool(environ: Mapping[str, str]) -> str | None:
    """Return the container tool to use, or None for the local builder; ClusterError if it is not there."""
    named = environ.get("CONTAINER_TOOL")
    if not named and environ.get("CLUSTER", "local") != "current":
        return None
    wanted = [named] if named else [*TOOLS]
    found = [name for name in wanted if shutil.which(name, path=environ.get("PATH"))]
    if not found:
        raise ClusterError(f"{' or '.join(wanted)} is not there", "install it, or name yours: CONTAINER_TOOL=...")
    return found[0]
