"""Brings built images into the local node: only what its containerd lacks, and nothing if it has the image.

An import unpacks the layers too, so that the first pod of an image does not wait for that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.containerd import Containerd
from cluster.errors import ClusterError
from cluster.preflight import Machine
from cluster.settings import Settings
from images.layout import Image, Layout


@dataclass(frozen=True)
class NodeImages:
    """The image store of a node; `ctr` runs containerd's client there and returns what it printed."""

    ctr: Callable[..., str]

    def digests(self) -> dict[str, str]:
        """Return the digests of the images in the node by their names."""
        rows = [line.split() for line in self.ctr("images", "list").splitlines()[1:]]
        return {row[0]: row[2] for row in rows}

    def load(self, image: Image, layout: Layout, archive: Path) -> bool:
        """Import an image unless it is there, by way of a file `archive`; say whether it was imported."""
        if self.digests().get(image.name) == image.digest:
            return False
        present = set(self.ctr("content", "list", "--quiet").split())
        archive.parent.mkdir(parents=True, exist_ok=True)
        try:
            with archive.open("wb") as file:
                layout.write_archive(image, file, without=present)
            self.ctr("images", "import", str(archive))
        finally:
            archive.unlink(missing_ok=True)
        return True


def local_node(settings: Settings, machine: Machine) -> NodeImages:
    """Return the running local node's image store; ClusterError if it does not run."""
    tools = [machine.require(name) for name in ("containerd", "runc", "bridge")]
    containerd = Containerd(settings.state / "containerd", *tools)
    if not containerd.answers():
        raise ClusterError("the local node does not run, so that no image can be loaded", "make cluster")
    return NodeImages(containerd.ctr)
