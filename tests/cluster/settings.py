"""Where things live and which addresses they have; read once from the environment by the command line.

`SIDECAR_CACHE` holds what is built or downloaded (safe to delete, slow to make again), `SIDECAR_STATE` the one
cluster that lives there. Addresses are fixed: two whole nodes side by side need two network namespaces.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Network:
    """The node's own links and address ranges; nothing of it leaves the machine."""

    host: str = "10.88.76.1"
    pods: str = "10.88.77.0/24"
    services: str = "10.88.78.0/24"
    host_link: str = "seval-node"
    pod_link: str = "seval-pods"
    api_port: int = 26443


@dataclass(frozen=True)
class Settings:
    """Folders and network of one cluster."""

    cache: Path
    state: Path
    node: str = "local"
    network: Network = field(default_factory=Network)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read SIDECAR_CACHE, SIDECAR_STATE and XDG_CACHE_HOME; defaults are below the home folder."""
        caches = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/root"), ".cache"))
        cache = Path(environ.get("SIDECAR_CACHE") or caches / "sidecar-evaluation").absolute()
        state = Path(environ.get("SIDECAR_STATE") or cache / "cluster").absolute()
        return cls(cache=cache, state=state)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig of the running cluster."""
        return self.state / "admin.kubeconfig"
